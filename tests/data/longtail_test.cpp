#include "data/longtail.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/manifest.h"
#include "data/mt19937.h"
#include "engine/io/atomic_file.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

using Counts = std::vector<std::int64_t>;

const nlohmann::json& golden() {
  static const nlohmann::json json =
      nlohmann::json::parse(std::ifstream(source_dir() + "/tests/golden/data_protocol.json"));
  return json;
}

// Labels without pictures are enough for a split.
ImageSet labels_only(Counts labels) {
  ImageSet set;
  set.labels = std::move(labels);
  return set;
}

ImageSet interleaved(std::int64_t classes, std::int64_t per_class) {
  Counts labels;
  for (std::int64_t i = 0; i < classes * per_class; ++i) labels.push_back(i % classes);
  return labels_only(std::move(labels));
}

DataSource named_source(ImageSet train, std::int64_t classes) {
  DataSource source;
  source.name = "made";
  source.train = std::move(train);
  source.class_names.assign(std::size_t(classes), "x");
  return source;
}

}  // namespace

TEST_CASE("long-tail counts are those of the papers in all 36 combinations") {
  REQUIRE(golden()["cifar_lt_counts"].size() == 36);
  for (const auto& row : golden()["cifar_lt_counts"]) {
    const auto counts =
        profile_counts("exponential", row["n_max"], row["imbalance"].get<double>(), row["classes"]);
    CAPTURE(row["classes"].get<int>(), row["n_max"].get<int>(), row["imbalance"].get<int>());
    REQUIRE(counts == row["counts"].get<Counts>());
    const auto groups = class_groups(counts);
    const auto number = [&](ClassGroup g) { return std::count(groups.begin(), groups.end(), g); };
    REQUIRE(number(ClassGroup::many) == row["many_gt100"]);
    REQUIRE(number(ClassGroup::medium) == row["medium_20_100"]);
    REQUIRE(number(ClassGroup::few) == row["few_lt20"]);
  }
}

TEST_CASE("step profile, one class, and profiles that make no sense") {
  CHECK(profile_counts("step", 500, 100, 5) == Counts{500, 500, 5, 5, 5});
  CHECK(profile_counts("exponential", 7, 100, 1) == Counts{7});
  CHECK(
      contains(error_of([] { profile_counts("linear", 5, 10, 3); }), "exponential, step or none"));
  CHECK(contains(error_of([] { profile_counts("step", 5, 0.5, 3); }), "imbalance"));
  CHECK(contains(error_of([] { profile_counts("step", 5, std::nan(""), 3); }), "imbalance"));
  CHECK(contains(error_of([] { profile_counts("step", 0, 10, 3); }), "n_max"));
}

TEST_CASE("groups with other borders") {
  CHECK(class_groups(Counts{0, 5, 9, 10, 30, 31}, 30, 10) ==
        std::vector{ClassGroup::absent, ClassGroup::few, ClassGroup::few, ClassGroup::medium,
                    ClassGroup::medium, ClassGroup::many});
}

TEST_CASE("groups at their borders") {
  CHECK(class_groups(Counts{101, 100, 20, 19, 0}) ==
        std::vector{ClassGroup::many, ClassGroup::medium, ClassGroup::medium, ClassGroup::few,
                    ClassGroup::absent});
}

TEST_CASE("legacy NumPy generator and shuffle") {
  LegacyNumpy generator(0);
  for (const auto& word : golden()["mt19937_seed0_first_u32"]) {
    REQUIRE(generator.next() == word.get<std::uint32_t>());
  }
  Counts values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  LegacyNumpy(0).shuffle(values);
  CHECK(values == golden()["numpy_legacy_shuffle_seed0_range10"].get<Counts>());
  Counts one{5}, none;
  LegacyNumpy(0).shuffle(one);
  LegacyNumpy(0).shuffle(none);
  CHECK(one == Counts{5});
}

TEST_CASE("subset ldam shuffles the classes one after the other with one generator") {
  // The golden selection has class counts that no profile gives, so cap each class by hand: with
  // profile none every class is shuffled whole, and its beginning is the selection.
  const auto& selected = golden()["subset_selection_seed0"]["selected"];
  const Split split = make_split(interleaved(3, 20), 3, {.profile = "none"});
  for (std::size_t c = 0; c < 3; ++c) {
    const auto wanted = selected[c].get<Counts>();
    const auto first = split.train_index.begin() + std::ptrdiff_t(c) * 20;
    CHECK(Counts(first, first + std::ptrdiff_t(wanted.size())) == wanted);
  }
  // The same classes through a profile: 20, 8 and 4 images of the same orders.
  const Split tail = make_split(interleaved(3, 20), 3, {.imbalance = 5});
  CHECK(tail.class_counts == Counts{20, 8, 4});
  CHECK(Counts(tail.train_index.end() - 4, tail.train_index.end()) == selected[2].get<Counts>());
}

TEST_CASE("subset first takes the file order and holds out the last") {
  const Split split =
      make_split(interleaved(2, 6), 2, {.imbalance = 2, .subset = "first", .meta_per_class = 2});
  CHECK(split.spec.n_max == 4);
  CHECK(split.class_counts == Counts{4, 2});
  CHECK(split.train_index == Counts{0, 2, 4, 6, 1, 3});
  CHECK(split.meta_index == Counts{8, 10, 9, 11});
}

TEST_CASE("held-out and training images do not meet") {
  const Split split = make_split(interleaved(10, 60), 10,
                                 {.imbalance = 10, .subset_seed = 3, .meta_per_class = 10});
  CHECK(split.spec.n_max == 50);
  CHECK(split.meta_index.size() == 100);
  Counts all = split.train_index;
  all.insert(all.end(), split.meta_index.begin(), split.meta_index.end());
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(count_labels(select(interleaved(10, 60), split.meta_index).labels, 10) == Counts(10, 10));
}

TEST_CASE("the hash follows the records and their roles") {
  const ImageSet set = interleaved(4, 30);
  const auto hash = [&](SplitSpec spec) { return make_split(set, 4, spec).hash; };
  CHECK(hash({.imbalance = 5}) == hash({.imbalance = 5}));
  CHECK(hash({.imbalance = 5}) != hash({.imbalance = 5, .subset_seed = 1}));
  CHECK(hash({.imbalance = 5}) != hash({.imbalance = 6}));
  CHECK(hash({.imbalance = 5, .n_max = 20}) !=
        hash({.imbalance = 5, .n_max = 20, .meta_per_class = 1}));
  // FNV-1a of the numbers 2, 0, 1, 0 as 8 bytes each, worked out independently.
  CHECK(make_split(labels_only({0, 0}), 1, {.profile = "none", .subset = "first"}).hash ==
        0xc835607d80625e66u);
}

TEST_CASE("classes without images take no part in the profile") {
  const Split split = make_split(labels_only({3, 3, 3, 3, 0, 0, 0, 0, 5, 5, 5, 5}), 6,
                                 {.imbalance = 4, .subset = "first"});
  CHECK(split.class_counts == Counts{4, 0, 0, 2, 0, 1});
}

TEST_CASE("profile none keeps what there is, up to n_max") {
  const ImageSet set = labels_only({0, 0, 0, 0, 0, 1, 1, 1});
  CHECK(make_split(set, 2, {.profile = "none"}).class_counts == Counts{5, 3});
  CHECK(make_split(set, 2, {.profile = "none", .n_max = 4, .meta_per_class = 1}).class_counts ==
        Counts{4, 2});
}

TEST_CASE("splits that cannot be made name the class") {
  const ImageSet set = labels_only({0, 0, 0, 0, 0, 1, 1, 1});
  const auto error = [&](SplitSpec spec) { return error_of([&] { make_split(set, 2, spec); }); };
  CHECK(contains(error({.imbalance = 1, .n_max = 5}), "class 1: expected 5 training"));
  CHECK(contains(error({.imbalance = 100, .n_max = 5}), "class 1: expected at least one training"));
  CHECK(contains(error({.meta_per_class = 3}), "meta_per_class"));
  CHECK(contains(error({.profile = "none", .meta_per_class = 3}), "class 1"));
  CHECK(contains(error({.subset = "random"}), "ldam or first"));
  CHECK(contains(error({.subset_seed = std::uint64_t(1) << 32}), "subset_seed"));
  CHECK(contains(error({.profile = "pareto"}), "pareto"));
  CHECK(contains(error({.meta_per_class = -1}), "meta_per_class"));
  CHECK(contains(error_of([&] { make_split(labels_only({}), 2, {}); }), "got none"));
  CHECK(contains(error_of([&] { make_split(set, 1, {}); }), "record 5"));
}

TEST_CASE("splits that cannot be made name the cure") {
  const ImageSet set = labels_only({0, 0, 0, 0, 0, 1, 1, 1});
  const auto error = [&](SplitSpec spec) { return error_of([&] { make_split(set, 2, spec); }); };
  CHECK(contains(error({.imbalance = 1, .n_max = 5}), "data.profile=none takes every image"));
  CHECK(contains(error({.imbalance = 9}), "data.profile=none takes every image"));
  CHECK(contains(error({.meta_per_class = 3}),
                 "data.profile=none takes every image and data.meta_per_class=N holds fewer out"));
  CHECK(contains(error({.profile = "none", .meta_per_class = 3}),
                 "; data.meta_per_class=N holds fewer out"));
}

TEST_CASE("a profile that throws away a long-tailed set draws a warning") {
  const auto warning = [](const Counts& counts, const SplitSpec& spec) {
    Counts labels;
    for (std::size_t c = 0; c < counts.size(); ++c) {
      labels.insert(labels.end(), std::size_t(counts[c]), std::int64_t(c));
    }
    const Split split = make_split(labels_only(labels), std::int64_t(counts.size()), spec);
    return profile_warning(counts, split, "--cure");
  };
  CHECK(warning({80, 40, 10}, {.imbalance = 5}) ==
        "warning: profile exponential leaves out 114 of 130 training images of a set that is "
        "unbalanced already (imbalance 8); --cure takes them all");
  CHECK(contains(warning({80, 40, 0, 10}, {.profile = "step", .imbalance = 5}), "profile step"));
  CHECK(warning({80, 40, 10}, {.profile = "none"}).empty());
  CHECK(warning({80, 40, 10}, {.profile = "none", .n_max = 1}).empty());
  CHECK(warning({100, 100, 100}, {.imbalance = 50}).empty());    // balanced
  CHECK(warning({100, 60, 60}, {.imbalance = 50}).empty());      // nearly
  CHECK(warning({20, 10, 10}, {.imbalance = 1}).empty());        // 30 of 40 stay
  CHECK(warning({20, 10}, {.imbalance = 1, .n_max = 7}) != "");  // 14 of 30
  // Held-out images are used.
  CHECK(warning({20, 10}, {.imbalance = 1, .n_max = 7, .meta_per_class = 1}).empty());
}

TEST_CASE("imbalance is over the classes that are there") {
  CHECK(imbalance_of(Counts{6, 0, 3, 12}) == 4);
  CHECK(imbalance_of(Counts{0, 0}) == 1);
  CHECK(imbalance_of(Counts{}) == 1);
}

TEST_CASE("a manifest says what the split was, and refuses another") {
  const DataSource source = named_source(interleaved(4, 30), 4);
  const SplitSpec spec{.imbalance = 10, .subset_seed = 7, .meta_per_class = 5};
  const Split split = make_split(source.train, 4, spec);
  const auto json = manifest_json(source, split);
  CHECK(json["counts"] == nlohmann::json({25, 11, 5, 2}));
  CHECK(json["total"] == 43);
  CHECK(json["meta_total"] == 20);
  CHECK(json["groups"] == nlohmann::json({{"many", 0}, {"medium", 1}, {"few", 3}}));
  CHECK(json["thresholds"] == nlohmann::json({{"many_above", 100}, {"few_below", 20}}));
  CHECK(json["hash"] == fmt::format("{:016x}", split.hash));

  const TempDir folder;
  write_file_atomically(folder / "manifest.json", json.dump());
  const Manifest read = read_manifest(folder / "manifest.json");
  CHECK(read.spec.n_max == 25);
  CHECK(read.spec.subset_seed == 7);
  CHECK(read.class_counts == split.class_counts);
  CHECK_NOTHROW(require_same_split(read, "a", parse_manifest(json, "b"), "b"));

  SplitSpec other = spec;
  other.subset_seed = 8;
  const auto next = manifest_json(source, make_split(source.train, 4, other));
  const std::string message =
      error_of([&] { require_same_split(read, "run A", parse_manifest(next, "b"), "run B"); });
  CHECK(contains(message, "run B: expected the split of run A"));
  CHECK(contains(message, "seed 8"));
  CHECK(!contains(message, "\n"));

  nlohmann::json edited = json;
  edited["counts"][0] = 24;
  CHECK(contains(error_of([&] { require_same_split(read, "a", parse_manifest(edited, "b"), "b"); }),
                 "counts"));
}

TEST_CASE("names, their order and the size of images make the data") {
  DataSource source = named_source(interleaved(2, 3), 2);
  source.class_names = {"cat", "dog"};
  source.train.height = 8;
  source.train.width = 9;
  auto json = manifest_json(source, make_split(source.train, 2, {.imbalance = 1}));
  const DataIdentity here = identity_of(source);
  const auto refusal = [&](const nlohmann::json& manifest) {
    return error_of([&] {
      require_same_data(parse_manifest(manifest, "m").data, "the run", here, "now", "--flag");
    });
  };
  CHECK(refusal(json).empty());
  auto other = json;
  other["class_names"] = {"dog", "cat"};
  CHECK(refusal(other) ==
        "now: other data than that of the run: class 0 is \"dog\" there, \"cat\" here (--flag if "
        "it is meant)");
  other["class_names"] = {"cat"};
  CHECK(contains(refusal(other), "1 classes there, 2 here"));
  other = json;
  other["data"]["width"] = 32;
  CHECK(contains(refusal(other), "images of 32 x 8 (width x height) with 3 channels there, 9 x 8"));
  // Older manifests have no size; made by hand, no names.
  for (const char* key : {"height", "width", "channels"}) other["data"].erase(key);
  CHECK(refusal(other).empty());
  other.erase("class_names");
  CHECK(refusal(other).empty());
  other["class_names"] = 3;
  CHECK(contains(error_of([&] { parse_manifest(other, "m"); }), "class_names"));
}

TEST_CASE("a manifest is untrusted") {
  const DataSource source = named_source(interleaved(2, 3), 2);
  const auto json = manifest_json(source, make_split(source.train, 2, {.imbalance = 1}));
  for (const char* key : {"data", "split", "counts", "meta_total", "hash"}) {
    nlohmann::json lacking = json;
    lacking.erase(key);
    CHECK(contains(error_of([&] { parse_manifest(lacking, "m"); }), fmt::format("key {} ", key)));
    nlohmann::json wrong = json;
    wrong[key] = nullptr;
    CHECK(contains(error_of([&] { parse_manifest(wrong, "m"); }), "m: manifest: key"));
  }
  const TempDir folder;
  put_file(folder / "manifest.json", "{\"data\":");
  CHECK(contains(error_of([&] { read_manifest(folder / "manifest.json"); }), "expected JSON"));
}

}  // namespace ek
