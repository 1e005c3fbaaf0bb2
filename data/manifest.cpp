#include "data/manifest.h"

#include <algorithm>
#include <numeric>

#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using nlohmann::json;

template <class T>
T value_at(const json& object, const std::string& where, const char* key) {
  require(object.is_object() && object.contains(key), "{}: manifest: key {} is missing", where,
          key);
  try {
    return object.at(key).get<T>();
  } catch (const json::exception&) {
    fail("{}: manifest: key {} has the wrong type: {}", where, key, object.at(key).type_name());
  }
}

constexpr std::int64_t channels = 3;  // of every ImageSet

template <class T>
T value_or(const json& object, const std::string& where, const char* key, T absent) {
  return object.is_object() && object.contains(key) ? value_at<T>(object, where, key) : absent;
}

std::string describe(const SplitSpec& spec) {
  return fmt::format("{} {}, n_max {}, {} held out per class, subset {} seed {}", spec.profile,
                     spec.imbalance, spec.n_max, spec.meta_per_class, spec.subset,
                     spec.subset_seed);
}

}  // namespace

json manifest_json(const DataSource& source, const Split& split) {
  const auto groups = class_groups(split.class_counts);
  const auto classes_in = [&](ClassGroup g) { return std::count(groups.begin(), groups.end(), g); };
  const SplitSpec& spec = split.spec;
  json manifest = {
      {"data",
       {{"name", source.name},
        {"format", name_of(source.format)},
        {"classes", source.num_classes()},
        {"train_images", source.train.count()},
        {"test_images", source.test.count()},
        {"height", source.train.height},
        {"width", source.train.width},
        {"channels", channels}}},
      {"split",
       {{"profile", spec.profile},
        {"imbalance", spec.imbalance},
        {"n_max", spec.n_max},
        {"subset", spec.subset},
        {"subset_seed", spec.subset_seed},
        {"meta_per_class", spec.meta_per_class}}},
      {"counts", split.class_counts},
      {"total", split.train_index.size()},
      {"meta_total", split.meta_index.size()},
      {"thresholds", {{"many_above", many_above}, {"few_below", few_below}}},
      {"groups",
       {{"many", classes_in(ClassGroup::many)},
        {"medium", classes_in(ClassGroup::medium)},
        {"few", classes_in(ClassGroup::few)}}},
      {"class_names", source.class_names},
      {"hash", fmt::format("{:016x}", split.hash)},
  };
  if (!source.difficulty.empty()) manifest["difficulty"] = source.difficulty;
  return manifest;
}

DataIdentity identity_of(const DataSource& source) {
  return {source.class_names, source.train.height, source.train.width, channels};
}

void require_same_data(const DataIdentity& stored, const std::string& name_stored,
                       const DataIdentity& now, const std::string& name_now,
                       const std::string& flag) {
  const auto refuse = [&](const std::string& difference) {
    fail("{}: other data than that of {}: {} ({} if it is meant)", name_now, name_stored,
         difference, flag);
  };
  const auto& there = stored.class_names;
  const auto& here = now.class_names;
  if (!there.empty() && !here.empty()) {
    if (there.size() != here.size()) {
      refuse(fmt::format("{} classes there, {} here", there.size(), here.size()));
    }
    const auto [a, b] = std::ranges::mismatch(there, here);
    if (a != there.end()) {
      refuse(fmt::format("class {} is \"{}\" there, \"{}\" here", a - there.begin(), *a, *b));
    }
  }
  if (stored.height > 0 && now.height > 0 &&
      (stored.height != now.height || stored.width != now.width ||
       stored.channels != now.channels)) {
    refuse(fmt::format(
        "images of {} x {} (width x height) with {} channels there, {} x {} with {} "
        "here",
        stored.width, stored.height, stored.channels, now.width, now.height, now.channels));
  }
}

Manifest parse_manifest(const json& root, const std::string& where) {
  const json data = value_at<json>(root, where, "data"),
             split = value_at<json>(root, where, "split");
  Manifest out;
  out.data_name = value_at<std::string>(data, where, "name");
  out.format = value_at<std::string>(data, where, "format");
  // Manifests of earlier versions have no image size; made by hand, they may lack names too.
  out.data = {.class_names = value_or(root, where, "class_names", std::vector<std::string>{}),
              .height = value_or<std::int64_t>(data, where, "height", 0),
              .width = value_or<std::int64_t>(data, where, "width", 0),
              .channels = value_or<std::int64_t>(data, where, "channels", 0)};
  out.test_images = value_or<std::int64_t>(data, where, "test_images", -1);
  out.spec = {.profile = value_at<std::string>(split, where, "profile"),
              .imbalance = value_at<double>(split, where, "imbalance"),
              .n_max = value_at<std::int64_t>(split, where, "n_max"),
              .subset = value_at<std::string>(split, where, "subset"),
              .subset_seed = value_at<std::uint64_t>(split, where, "subset_seed"),
              .meta_per_class = value_at<std::int64_t>(split, where, "meta_per_class")};
  out.class_counts = value_at<std::vector<std::int64_t>>(root, where, "counts");
  out.meta_total = value_at<std::int64_t>(root, where, "meta_total");
  out.hash = value_at<std::string>(root, where, "hash");
  return out;
}

Manifest read_manifest(const std::filesystem::path& file) {
  static constexpr std::uint64_t limit_bytes = 64 << 20;
  const std::string bytes = read_file(file, limit_bytes);
  const json root = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  require(!root.is_discarded(), "{}: expected JSON, got {} bytes of something else", file.string(),
          bytes.size());
  return parse_manifest(root, file.string());
}

void require_same_split(const Manifest& a, const std::string& name_a, const Manifest& b,
                        const std::string& name_b) {
  const auto classes_a = a.class_counts.size(), classes_b = b.class_counts.size();
  require(a.format == b.format && classes_a == classes_b,
          "{}: expected the data of {} ({}, {} classes), got {}, {} classes", name_b, name_a,
          a.format, classes_a, b.format, classes_b);
  require(a.hash == b.hash, "{}: expected the split of {} (hash {}: {}), got hash {}: {}", name_b,
          name_a, a.hash, describe(a.spec), b.hash, describe(b.spec));
  require(a.class_counts == b.class_counts && a.meta_total == b.meta_total,
          "{}: has the split hash of {} but other class counts; one of the manifests was changed",
          name_b, name_a);
}

}  // namespace ek
