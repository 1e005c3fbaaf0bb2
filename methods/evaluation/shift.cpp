#include "methods/evaluation/shift.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "kernels/base/error.h"
#include "methods/evaluation/recall.h"

namespace ek {
namespace {

using Kind = ShiftSpec::Kind;

// Rank of each class by count, largest first.
std::vector<std::int64_t> ranks_by_count(std::span<const std::int64_t> counts) {
  std::vector<std::int64_t> order(counts.size()), rank(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return counts[std::size_t(a)] > counts[std::size_t(b)];
  });
  for (std::size_t k = 0; k < order.size(); ++k) rank[std::size_t(order[k])] = std::int64_t(k);
  return rank;
}

// Test images of every class that has any; Error unless they are equally many.
std::int64_t images_per_class(std::span<const std::int64_t> present,
                              std::span<const std::int64_t> images, const ShiftSpec& spec) {
  const auto first = std::size_t(present[0]);
  for (std::int64_t c : present) {
    require(images[std::size_t(c)] == images[first],
            "shift {}: expected a balanced test set, got {} images of class {} and {} of class {}",
            spec.str(), images[first], first, images[std::size_t(c)], c);
  }
  return images[first];
}

}  // namespace

std::string ShiftSpec::str() const {
  if (kind == Kind::uniform) return "uniform";
  return fmt::format("{}:{}", kind == Kind::forward ? "forward" : "backward", ratio);
}

ShiftSpec parse_shift(std::string_view text) {
  if (text == "uniform") return {};
  const auto colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  ShiftSpec spec{word == "backward" ? Kind::backward : Kind::forward, 0};
  bool good = colon != std::string_view::npos && (word == "forward" || word == "backward");
  if (good) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, spec.ratio);
    good = error == std::errc() && stop == end && std::isfinite(spec.ratio) && spec.ratio >= 1;
  }
  require(good, "shift: expected uniform, forward:R or backward:R with R >= 1, got '{}'", text);
  return spec;
}

std::vector<ShiftSpec> standard_shifts() {
  std::vector<ShiftSpec> out;
  for (double ratio : {50, 25, 10, 5, 2}) out.push_back({Kind::forward, ratio});
  out.push_back({});
  for (double ratio : {2, 5, 10, 25, 50}) out.push_back({Kind::backward, ratio});
  return out;
}

std::vector<std::int64_t> kept_per_class(std::span<const std::int64_t> class_counts,
                                         std::int64_t per_class, const ShiftSpec& spec) {
  std::vector<std::int64_t> kept(class_counts.size(), per_class);
  if (spec.kind == Kind::uniform || kept.size() < 2) return kept;
  const auto rank = ranks_by_count(class_counts);
  const auto last = std::int64_t(kept.size()) - 1;
  for (std::size_t c = 0; c < kept.size(); ++c) {
    const std::int64_t k = spec.kind == Kind::forward ? rank[c] : last - rank[c];
    const double share = std::pow(spec.ratio, -double(k) / double(last));
    // The guard lets exact integers survive the rounding of pow.
    kept[c] = std::int64_t(std::floor(double(per_class) * share + 1e-9));
  }
  return kept;
}

ShiftedSet shifted_set(std::span<const std::int64_t> labels,
                       std::span<const std::int64_t> class_counts, const ShiftSpec& spec) {
  const auto classes = std::int64_t(class_counts.size());
  ShiftedSet out;
  out.kept.assign(class_counts.size(), 0);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    require(labels[row] >= 0 && labels[row] < classes,
            "shift {}: row {}: expected a label in [0, {}), got {}", spec.str(), row, classes,
            labels[row]);
    ++out.kept[std::size_t(labels[row])];
  }
  if (spec.kind != Kind::uniform && !labels.empty()) {
    std::vector<std::int64_t> present, counts;
    for (std::int64_t c = 0; c < classes; ++c) {
      if (out.kept[std::size_t(c)] == 0) continue;
      present.push_back(c);
      counts.push_back(class_counts[std::size_t(c)]);
    }
    const auto kept = kept_per_class(counts, images_per_class(present, out.kept, spec), spec);
    for (std::size_t i = 0; i < present.size(); ++i) {
      require(kept[i] >= 1, "shift {}: expected at least 1 image per class, got 0 of class {} ({})",
              spec.str(), present[i], "too few test images for this ratio");
      out.kept[std::size_t(present[i])] = kept[i];
    }
  }

  std::vector<std::int64_t> taken(class_counts.size(), 0);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto label = std::size_t(labels[row]);
    if (taken[label]++ < out.kept[label]) out.rows.push_back(std::int64_t(row));
  }
  return out;
}

Predictions select_rows(const Predictions& predictions, std::span<const std::int64_t> rows) {
  Predictions out;
  out.num_classes = predictions.num_classes;
  for (std::int64_t row : rows) {
    require(row >= 0 && row < predictions.rows(), "select_rows: expected rows below {}, got {}",
            predictions.rows(), row);
    const auto begin = predictions.logits.begin() + row * predictions.num_classes;
    out.logits.insert(out.logits.end(), begin, begin + predictions.num_classes);
    out.labels.push_back(predictions.labels[std::size_t(row)]);
  }
  return out;
}

double top1(const Predictions& predictions) {
  check_predictions(predictions);
  const auto predicted = predicted_classes(predictions);
  std::int64_t hits = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) hits += predicted[i] == predictions.labels[i];
  return double(hits) / double(predictions.rows());
}

}  // namespace ek
