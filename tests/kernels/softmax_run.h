#pragma once
#include <numeric>
#include <vector>

#include "kernels/softmax.h"

// The fused loss kernel on vectors, for the tests.
namespace ek::test {

using Numbers = std::vector<double>;

// One loss of the spec's table 1.1 in terms of the fused kernel. Empty: not used.
struct Instance {
  double scale = 1;
  Numbers offset, margin, targets, class_weight;
  std::vector<std::uint8_t> mask;
  bool mean_weighted = false;
};

struct Case {
  Numbers logits, counts;
  std::vector<std::int64_t> labels;
  std::int64_t rows() const { return std::int64_t(labels.size()); }
  std::int64_t classes() const { return std::int64_t(counts.size()); }
  double total() const { return std::accumulate(counts.begin(), counts.end(), 0.0); }
};

template <class T>
std::vector<T> as(const Numbers& x) {
  return std::vector<T>(x.begin(), x.end());
}

template <class T>
struct Result {
  std::vector<T> losses, dlogits, weighted;
  std::vector<std::uint8_t> correct;
};

template <class T>
Result<T> run(const Case& c, const Instance& instance, double divisor,
              const Numbers& sample_weight = {}) {
  const auto z = as<T>(c.logits), offset = as<T>(instance.offset), margin = as<T>(instance.margin);
  const auto targets = as<T>(instance.targets), weight = as<T>(instance.class_weight);
  const auto samples = as<T>(sample_weight);
  const auto or_null = [](const auto& x) { return x.empty() ? nullptr : x.data(); };
  kernels::SoftmaxLoss<T> loss{c.rows(), c.classes()};
  loss.scale = instance.scale;
  loss.labels = c.labels.data();
  loss.targets = or_null(targets);
  loss.offset = or_null(offset);
  loss.margin = or_null(margin);
  loss.mask = or_null(instance.mask);
  loss.class_weight = or_null(weight);
  loss.sample_weight = or_null(samples);
  loss.divisor = divisor;
  Result<T> r{std::vector<T>(c.labels.size()), std::vector<T>(z.size()), std::vector<T>(z.size()),
              std::vector<std::uint8_t>(c.labels.size())};
  kernels::softmax_loss<kernels::Cpu, T>(
      {}, loss, z.data(), {r.losses.data(), r.dlogits.data(), r.weighted.data(), r.correct.data()});
  return r;
}

}  // namespace ek::test
