#include "data/longtail.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "data/mt19937.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using Records = std::vector<std::int64_t>;

// Protects whole numbers at the ends of the profile from rounding just below.
constexpr double floor_guard = 1e-9;

// What to try where a class has too few images for the profile, or for what is held out.
constexpr std::string_view every_image =
    "for a set that is long-tailed already, data.profile=none takes every image and "
    "data.meta_per_class=N holds fewer out (ek-data: --profile none, --meta-per-class N)";
constexpr std::string_view fewer_held_out =
    "data.meta_per_class=N holds fewer out (ek-data: --meta-per-class N)";

void check(const SplitSpec& spec) {
  require(spec.subset == "ldam" || spec.subset == "first",
          "split: subset: expected ldam or first, got {}", spec.subset);
  require(spec.subset_seed <= std::numeric_limits<std::uint32_t>::max(),
          "split: subset_seed: expected below 2^32, got {}", spec.subset_seed);
  require(spec.meta_per_class >= 0, "split: meta_per_class: expected 0 or more, got {}",
          spec.meta_per_class);
  require(spec.n_max >= 0, "split: n_max: expected 0 (the default) or more, got {}", spec.n_max);
}

void append(Records& to, std::span<const std::int64_t> from) {
  to.insert(to.end(), from.begin(), from.end());
}

std::uint64_t hash_records(const Split& split) {
  std::uint64_t hash = fnv1a("");
  const auto add = [&hash](std::uint64_t value) {
    char bytes[8];  // the lowest first, whatever the machine
    for (char& byte : bytes) {
      byte = char(value & 0xFF);
      value >>= 8;
    }
    hash = fnv1a({bytes, sizeof bytes}, hash);
  };
  for (const Records* records : {&split.train_index, &split.meta_index}) {
    add(records->size());
    for (std::int64_t record : *records) add(std::uint64_t(record));
  }
  return hash;
}

}  // namespace

std::vector<std::int64_t> profile_counts(std::string_view profile, std::int64_t n_max,
                                         double imbalance, std::int64_t num_classes) {
  require(profile == "exponential" || profile == "step",
          "split: profile: expected exponential, step or none, got {}", profile);
  require(imbalance >= 1 && std::isfinite(imbalance),
          "split: imbalance: expected a number of at least 1, got {}", imbalance);
  require(n_max >= 1, "split: n_max: expected at least 1, got {}", n_max);
  std::vector<std::int64_t> counts;
  for (std::int64_t c = 0; c < num_classes; ++c) {
    const double rank = profile == "step"  ? (c < num_classes / 2 ? 0.0 : 1.0)
                        : num_classes == 1 ? 0.0
                                           : double(c) / double(num_classes - 1);
    counts.push_back(
        std::int64_t(std::floor(double(n_max) * std::pow(imbalance, -rank) + floor_guard)));
  }
  return counts;
}

Split make_split(const ImageSet& train, std::int64_t num_classes, const SplitSpec& spec) {
  check(spec);
  Split split;
  split.spec = spec;
  std::vector<Records> records(static_cast<std::size_t>(num_classes));
  for (std::int64_t i = 0; i < train.count(); ++i) {
    const std::int64_t label = train.labels[std::size_t(i)];
    require(label >= 0 && label < num_classes,
            "split: record {}: expected a label below {}, got {}", i, num_classes, label);
    records[std::size_t(label)].push_back(i);
  }

  std::vector<std::int64_t> present;
  std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t c = 0; c < num_classes; ++c) {
    const std::int64_t size = std::int64_t(records[std::size_t(c)].size());
    if (size == 0) continue;
    present.push_back(c);
    smallest = std::min(smallest, size);
  }
  require(!present.empty(), "split: expected training images, got none");

  const bool all = spec.profile == "none";
  const std::int64_t meta = spec.meta_per_class;
  const std::string_view cure = all ? fewer_held_out : every_image;
  if (spec.n_max == 0 && !all) {
    require(
        smallest > meta,
        "split: meta_per_class: expected fewer than the {} images of the smallest class, got {}; "
        "{}",
        smallest, meta, cure);
    split.spec.n_max = smallest - meta;
  }
  std::vector<std::int64_t> wanted;
  if (!all) {
    wanted = profile_counts(spec.profile, split.spec.n_max, spec.imbalance,
                            std::int64_t(present.size()));
  }

  LegacyNumpy generator{std::uint32_t(spec.subset_seed)};
  split.class_counts.assign(std::size_t(num_classes), 0);
  for (std::size_t p = 0; p < present.size(); ++p) {
    const std::int64_t c = present[p];
    Records& mine = records[std::size_t(c)];
    const std::int64_t size = std::int64_t(mine.size());
    std::int64_t count = all ? size - meta : wanted[p];
    if (all && spec.n_max > 0) count = std::min(count, spec.n_max);
    require(count >= 1,
            "split: class {}: expected at least one training image, got {} of {} ({} "
            "held out, n_max {}, imbalance {}); {}",
            c, std::max<std::int64_t>(count, 0), size, meta, split.spec.n_max, spec.imbalance,
            cure);
    require(count + meta <= size,
            "split: class {}: expected {} training and {} held-out images, the source has {}; {}",
            c, count, meta, size, cure);
    if (spec.subset == "ldam") generator.shuffle(mine);
    const std::span<const std::int64_t> order(mine);
    append(split.train_index, order.first(std::size_t(count)));
    append(split.meta_index, order.last(std::size_t(meta)));
    split.class_counts[std::size_t(c)] = count;
  }
  split.hash = hash_records(split);
  return split;
}

double imbalance_of(std::span<const std::int64_t> counts) {
  std::int64_t smallest = 0, largest = 0;
  for (const std::int64_t n : counts) {
    if (n > 0) smallest = smallest == 0 ? n : std::min(smallest, n);
    largest = std::max(largest, n);
  }
  return smallest > 0 ? double(largest) / double(smallest) : 1;
}

std::string profile_warning(std::span<const std::int64_t> source_counts, const Split& split,
                            std::string_view cure) {
  constexpr double unbalanced = 2;
  const double imbalance = imbalance_of(source_counts);
  const std::int64_t all =
      std::accumulate(source_counts.begin(), source_counts.end(), std::int64_t(0));
  const std::int64_t kept = std::int64_t(split.train_index.size() + split.meta_index.size());
  if (split.spec.profile == "none" || imbalance < unbalanced || 2 * kept >= all) return "";
  return fmt::format(
      "warning: profile {} leaves out {} of {} training images of a set that is unbalanced already "
      "(imbalance {:.4g}); {} takes them all",
      split.spec.profile, all - kept, all, imbalance, cure);
}

std::string_view name_of(ClassGroup group) {
  switch (group) {
    case ClassGroup::many:
      return "many";
    case ClassGroup::medium:
      return "medium";
    case ClassGroup::few:
      return "few";
    case ClassGroup::absent:
      return "absent";
  }
  return "?";
}

std::vector<ClassGroup> class_groups(std::span<const std::int64_t> counts, std::int64_t above,
                                     std::int64_t below) {
  std::vector<ClassGroup> groups;
  for (const std::int64_t count : counts) {
    groups.push_back(count == 0      ? ClassGroup::absent
                     : count > above ? ClassGroup::many
                     : count < below ? ClassGroup::few
                                     : ClassGroup::medium);
  }
  return groups;
}

}  // namespace ek
