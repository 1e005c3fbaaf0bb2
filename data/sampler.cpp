#include "data/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <utility>

#include "data/images/dataset.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using Items = std::vector<std::int64_t>;

// The two permutations used last (a batch may straddle two); a stream of draws asks for them in
// order, so each is made once.
class PermutationCache {
 public:
  // `number`: which permutation; `view` tells several caches of one seed apart.
  std::int64_t at(const RandomStream& stream, std::int64_t number, std::int64_t count,
                  std::int64_t element) {
    Entry& entry = entries_[std::size_t(number % 2)];
    if (entry.number != number) entry = {number, stream.permutation(count)};
    return entry.order[std::size_t(element)];
  }

 private:
  struct Entry {
    std::int64_t number = -1;
    Items order;
  };
  std::array<Entry, 2> entries_;
};

// Items of each class, in subset order.
std::vector<Items> items_by_class(std::span<const std::int64_t> labels, std::int64_t num_classes) {
  require(!labels.empty(), "sampler: expected a subset with items, got none");
  std::vector<Items> items(static_cast<std::size_t>(num_classes));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    require(labels[i] >= 0 && labels[i] < num_classes,
            "sampler: item {}: expected a label below {}, got {}", i, num_classes, labels[i]);
    items[std::size_t(labels[i])].push_back(std::int64_t(i));
  }
  return items;
}

class Shuffled : public Sampler {
 public:
  Shuffled(std::int64_t count, std::uint64_t seed, Purpose purpose)
      : count_(count), seed_(seed), purpose_(purpose) {
    require(count > 0, "sampler: expected a subset with items, got {}", count);
  }
  std::int64_t epoch_length() const override { return count_; }
  std::int64_t at(std::int64_t position) const override {
    const std::int64_t epoch = position / count_;
    const std::scoped_lock lock(mutex_);
    return cache_.at(RandomStream(seed_, purpose_, std::uint32_t(epoch)), epoch, count_,
                     position % count_);
  }

 private:
  std::int64_t count_;
  std::uint64_t seed_;
  Purpose purpose_;
  mutable std::mutex mutex_;
  mutable PermutationCache cache_;
};

// Turn t = position / consecutive belongs to cycle t / C of the classes. Every cycle visits every
// class once, so cycle v is the v-th visit of each class: that gives the place in its own cycle
// without having drawn what came before.
class ClassBalanced : public Sampler {
 public:
  ClassBalanced(std::span<const std::int64_t> labels, std::int64_t num_classes, std::uint64_t seed,
                std::int64_t consecutive, Purpose purpose)
      : seed_(seed), consecutive_(consecutive), purpose_(purpose) {
    require(consecutive >= 1, "sampler: consecutive: expected at least 1, got {}", consecutive);
    for (Items& items : items_by_class(labels, num_classes)) {
      if (items.empty()) continue;
      largest_ = std::max(largest_, std::int64_t(items.size()));
      items_.push_back(std::move(items));
    }
    class_caches_.resize(items_.size());
    require(items_.size() < 65535, "sampler: expected fewer than 65535 classes, got {}",
            items_.size());  // the view of a random stream has 16 bits
  }
  std::int64_t epoch_length() const override { return largest_ * classes(); }
  std::int64_t at(std::int64_t position) const override {
    const std::int64_t turn = position / consecutive_, cycle = turn / classes();
    const std::scoped_lock lock(mutex_);
    const std::int64_t c = cycle_cache_.at(stream(cycle, 0), cycle, classes(), turn % classes());
    const Items& items = items_[std::size_t(c)];
    const std::int64_t count = std::int64_t(items.size());
    const std::int64_t draw = cycle * consecutive_ + position % consecutive_;
    const std::int64_t pass = draw / count;
    return items[std::size_t(
        class_caches_[std::size_t(c)].at(stream(pass, 1 + c), pass, count, draw % count))];
  }

 private:
  std::int64_t classes() const { return std::int64_t(items_.size()); }
  RandomStream stream(std::int64_t number, std::int64_t view) const {
    return {seed_, purpose_, std::uint32_t(number), std::uint32_t(view)};
  }

  std::vector<Items> items_;
  std::int64_t largest_ = 0;
  std::uint64_t seed_;
  std::int64_t consecutive_;
  Purpose purpose_;
  mutable std::mutex mutex_;
  mutable PermutationCache cycle_cache_;
  mutable std::vector<PermutationCache> class_caches_;
};

// Running sums of probabilities, the last one exactly 1.
std::vector<double> cumulative(std::span<const double> probabilities,
                               const std::vector<Items>& items) {
  require(probabilities.size() == items.size(), "sampler: expected {} class probabilities, got {}",
          items.size(), probabilities.size());
  std::vector<double> sums;
  double sum = 0;
  for (std::size_t c = 0; c < items.size(); ++c) {
    const double p = probabilities[c];
    require(p >= 0 && std::isfinite(p), "sampler: class {}: expected a probability, got {}", c, p);
    require(p == 0 || !items[c].empty(),
            "sampler: class {}: expected probability 0 for a class without items, got {}", c, p);
    sums.push_back(sum += p);
  }
  require(sum > 0 && std::isfinite(sum), "sampler: expected probabilities with a positive sum");
  for (double& value : sums) value /= sum;
  return sums;
}

// Position p draws the class at index 2 p of the stream and the item at 2 p + 1.
class ClassProbability : public Sampler {
 public:
  ClassProbability(std::span<const std::int64_t> labels, std::int64_t num_classes,
                   const std::vector<std::vector<double>>& tables, std::uint64_t seed,
                   Purpose purpose)
      : count_(std::int64_t(labels.size())),
        items_(items_by_class(labels, num_classes)),
        stream_(seed, purpose) {
    for (const auto& table : tables) tables_.push_back(cumulative(table, items_));
  }
  std::int64_t epoch_length() const override { return count_; }
  std::int64_t at(std::int64_t position) const override {
    // One table per epoch; the last one serves all later epochs.
    const auto epoch = std::min<std::size_t>(std::size_t(position / count_), tables_.size() - 1);
    const auto& sums = tables_[epoch];
    const double u = stream_.uniform(2 * std::uint64_t(position));
    // The first sum above u: never a class of probability 0, and u < 1 is below the last sum.
    const auto found = std::upper_bound(sums.begin(), sums.end(), u);
    const Items& items = items_[std::size_t(found - sums.begin())];
    return items[stream_.below(2 * std::uint64_t(position) + 1, items.size())];
  }

 private:
  std::int64_t count_;
  std::vector<Items> items_;
  RandomStream stream_;
  std::vector<std::vector<double>> tables_;
};

std::vector<double> normalised(std::span<const std::int64_t> counts,
                               const std::function<double(double)>& weight) {
  std::vector<double> out;
  for (const std::int64_t n : counts) out.push_back(n > 0 ? weight(double(n)) : 0.0);
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  require(sum > 0, "sampler: expected class counts with items, got none");
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace

SamplerPtr shuffled_sampler(std::int64_t count, std::uint64_t seed, Purpose purpose) {
  return std::make_shared<Shuffled>(count, seed, purpose);
}

SamplerPtr class_balanced_sampler(std::span<const std::int64_t> labels, std::int64_t num_classes,
                                  std::uint64_t seed, std::int64_t consecutive, Purpose purpose) {
  return std::make_shared<ClassBalanced>(labels, num_classes, seed, consecutive, purpose);
}

SamplerPtr class_probability_sampler(std::span<const std::int64_t> labels,
                                     std::vector<double> class_probability, std::uint64_t seed,
                                     Purpose purpose) {
  const auto classes = std::int64_t(class_probability.size());
  return std::make_shared<ClassProbability>(
      labels, classes, std::vector<std::vector<double>>{std::move(class_probability)}, seed,
      purpose);
}

SamplerPtr progressive_sampler(std::span<const std::int64_t> labels, std::int64_t num_classes,
                               std::int64_t epochs, std::uint64_t seed, Purpose purpose) {
  require(epochs >= 1, "sampler: epochs: expected at least 1, got {}", epochs);
  const auto counts = count_labels(labels, num_classes);
  std::vector<std::vector<double>> tables;
  for (std::int64_t t = 0; t < epochs; ++t) {
    const double share = epochs == 1 ? 1.0 : double(t) / double(epochs - 1);
    tables.push_back(progressive_probabilities(counts, share));
  }
  return std::make_shared<ClassProbability>(labels, num_classes, tables, seed, purpose);
}

std::vector<double> power_probabilities(std::span<const std::int64_t> counts, double q) {
  return normalised(counts, [q](double n) { return std::pow(n, q); });
}

std::vector<double> reversed_probabilities(std::span<const std::int64_t> counts) {
  return normalised(counts, [](double n) { return 1 / n; });
}

std::vector<double> effective_number_probabilities(std::span<const std::int64_t> counts,
                                                   double beta) {
  require(beta >= 0 && beta < 1, "sampler: beta: expected in [0, 1), got {}", beta);
  return normalised(counts, [beta](double n) { return n * (1 - beta) / (1 - std::pow(beta, n)); });
}

std::vector<double> progressive_probabilities(std::span<const std::int64_t> counts,
                                              double class_share) {
  auto out = power_probabilities(counts, 1);
  const auto balanced = power_probabilities(counts, 0);
  for (std::size_t c = 0; c < out.size(); ++c) {
    out[c] = (1 - class_share) * out[c] + class_share * balanced[c];
  }
  return out;
}

std::vector<std::string> sampler_names() {
  return {"shuffled",      "class-balanced", "square-root",
          "uniform-class", "reversed",       "effective-number"};
}

SamplerPtr make_sampler(std::string_view name, std::span<const std::int64_t> labels,
                        std::int64_t num_classes, std::uint64_t seed) {
  const auto counts = count_labels(labels, num_classes);
  const auto independent = [&](std::vector<double> probabilities) {
    return class_probability_sampler(labels, std::move(probabilities), seed);
  };
  if (name == "shuffled") return shuffled_sampler(std::int64_t(labels.size()), seed);
  if (name == "class-balanced") return class_balanced_sampler(labels, num_classes, seed);
  if (name == "square-root") return independent(power_probabilities(counts, 0.5));
  if (name == "uniform-class") return independent(power_probabilities(counts, 0));
  if (name == "reversed") return independent(reversed_probabilities(counts));
  if (name == "effective-number") return independent(effective_number_probabilities(counts));
  fail("sampler: expected one of {}, got {}", fmt::join(sampler_names(), ", "), name);
}

}  // namespace ek
