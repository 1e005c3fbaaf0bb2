#include "apps/data/commands.h"

#include <filesystem>

#include "data/manifest.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

namespace fs = std::filesystem;

}  // namespace

TEST_CASE("make-lt writes what it selected, in the source's own format") {
  const TempDir dir;
  for (const char* format : {"cifar", "png"}) {
    CAPTURE(format);
    const std::string whole = (dir / (std::string(format) + "-whole")).string();
    const std::string cut = (dir / (std::string(format) + "-cut")).string();
    synthesize_data({.format = format, .out = whole}, 3);
    const SplitSpec spec{.imbalance = 100, .meta_per_class = 10};
    make_long_tail({.data = whole, .out = cut, .split = spec}, 4);

    const DataSource before = load_source(whole), after = load_source(cut);
    CHECK(after.format == before.format);
    CHECK(after.class_names == before.class_names);
    CHECK(after.test.pixels == before.test.pixels);
    SplitSpec seeded = spec;
    seeded.subset_seed = 4;
    const Split split = make_split(before.train, 10, seeded);
    CHECK(count_labels(after.train.labels, 10) == split.class_counts);
    auto records = split.train_index;
    std::sort(records.begin(), records.end());
    CHECK(after.train.pixels == select(before.train, records).pixels);
    const Manifest manifest = read_manifest(fs::path(cut) / "manifest.json");
    CHECK(manifest.hash == fmt::format("{:016x}", split.hash));
    CHECK(fs::exists(fs::path(cut) / (format == std::string("png") ? "meta" : "meta_batch.bin")));

    CHECK(contains(error_of([&] { make_long_tail({.data = whole, .out = cut, .split = spec}, 4); }),
                   "it has contents"));
  }
}

TEST_CASE("data commands leave nothing after a failure") {
  const TempDir dir;
  const std::string out = (dir / "out").string();
  CHECK(contains(error_of([&] { synthesize_data({.format = "bmp", .out = out}, 0); }),
                 "cifar or png"));
  CHECK(contains(error_of([&] { synthesize_data({.name = "cats", .out = out}, 0); }), "shapes"));
  CHECK(contains(error_of([&] {
                   make_long_tail({.data = "synthetic:shapes", .out = out, .split = {.n_max = 501}},
                                  0);
                 }),
                 "class 0"));
  CHECK(contains(error_of([&] { preview_data({"synthetic:shapes", out, 0}, 0); }), "--columns"));
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE("preview is a picture of the size it says") {
  const TempDir dir;
  preview_data({"synthetic:shapes", (dir / "a.png").string(), 3, 2, 1}, 0);
  CHECK(fs::file_size(dir / "a.png") > 1000);
  CHECK(fs::file_size(dir / "a.png") < 3 * 2 * 34 * 34 * 3 + 1000);
}

}  // namespace ek
