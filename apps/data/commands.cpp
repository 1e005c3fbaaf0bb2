#include "apps/data/commands.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/common/load_data.h"
#include "data/images/cifar.h"
#include "data/images/files.h"
#include "data/images/folders.h"
#include "data/images/image_file.h"
#include "data/images/synthetic.h"
#include "data/manifest.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

using Format = DataSource::Format;
using Counts = std::vector<std::int64_t>;

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  std::fputs(fmt::format(format, std::forward<Args>(args)...).c_str(), stdout);
}

std::int64_t number_in(const std::vector<ClassGroup>& groups, ClassGroup group) {
  return std::count(groups.begin(), groups.end(), group);
}

nlohmann::json describe_json(const DataSource& source, const Counts& train, const Counts& test) {
  const auto groups = class_groups(train);
  nlohmann::json classes = nlohmann::json::array();
  for (std::size_t c = 0; c < train.size(); ++c) {
    classes.push_back({{"label", c},
                       {"name", source.class_names[c]},
                       {"train", train[c]},
                       {"test", test[c]},
                       {"group", name_of(groups[c])}});
    if (!source.difficulty.empty()) classes.back()["difficulty"] = source.difficulty[c];
  }
  return {{"name", source.name},
          {"format", name_of(source.format)},
          {"height", source.train.height},
          {"width", source.train.width},
          {"num_classes", source.num_classes()},
          {"train_images", source.train.count()},
          {"test_images", source.test.count()},
          {"imbalance", imbalance_of(train)},
          {"groups",
           {{"many", number_in(groups, ClassGroup::many)},
            {"medium", number_in(groups, ClassGroup::medium)},
            {"few", number_in(groups, ClassGroup::few)}}},
          {"classes", classes}};
}

void describe_text(const DataSource& source, const Counts& train, const Counts& test) {
  const auto groups = class_groups(train);
  const std::int64_t absent = number_in(groups, ClassGroup::absent);
  say("data       {} ({})\n", source.name, name_of(source.format));
  say("images     {} x {} RGB (width x height), {} training, {} test\n", source.train.width,
      source.train.height, source.train.count(), source.test.count());
  say("classes    {}", source.num_classes());
  if (absent > 0) say(", {} with training images", source.num_classes() - absent);
  say("\nimbalance  {:.4g} (largest class over smallest)\n", imbalance_of(train));
  say("groups     {} many (> {}), {} medium, {} few (< {})\n\n",
      number_in(groups, ClassGroup::many), many_above, number_in(groups, ClassGroup::medium),
      number_in(groups, ClassGroup::few), few_below);
  std::size_t width = 4;
  for (const std::string& name : source.class_names) width = std::max(width, name.size());
  const bool difficulty = !source.difficulty.empty();
  say("label  {:<{}}   train    test  group{}\n", "name", width, difficulty ? "   difficulty" : "");
  for (std::size_t c = 0; c < train.size(); ++c) {
    if (train[c] == 0 && test[c] == 0) continue;
    say("{:>5}  {:<{}}  {:>6}  {:>6}  {:<6}", c, source.class_names[c], width, train[c], test[c],
        name_of(groups[c]));
    if (difficulty) say("  {:.2f}", source.difficulty[c]);
    say("\n");
  }
}

// The part of the long-tail folder that depends on the format.
void save_as_source(const DataSource& source, const ImageSet& meta, const fs::path& folder) {
  if (source.format == Format::folders) {
    save_folders(source, folder);
    if (meta.count() > 0) save_class_folders(meta, source.class_names, folder / "meta");
    return;
  }
  save_cifar(source, folder);
  const bool hundred = source.format == Format::cifar100;
  if (meta.count() > 0) {
    save_cifar_records(meta, source.format, folder / (hundred ? "meta.bin" : "meta_batch.bin"));
  }
}

}  // namespace

void describe_data(const DescribeOptions& options, std::uint64_t seed) {
  const DataSource source = load_data(options.data, seed);
  const auto train = count_labels(source.train.labels, source.num_classes());
  const auto test = count_labels(source.test.labels, source.num_classes());
  nlohmann::json json = describe_json(source, train, test);
  const fs::path manifest = fs::path(options.data) / "manifest.json";
  std::error_code ignored;
  const bool has_manifest = fs::is_regular_file(manifest, ignored);
  if (options.json) {
    if (has_manifest) json["made_from"] = read_manifest(manifest).data_name;
    say("{}\n", json.dump(2));
    return;
  }
  describe_text(source, train, test);
  if (!has_manifest) return;
  const Manifest made = read_manifest(manifest);
  say("\nmade from  {}: profile {}, imbalance {}, n_max {}, subset {} seed {}, {} held out per "
      "class, hash {}\n",
      made.data_name, made.spec.profile, made.spec.imbalance, made.spec.n_max, made.spec.subset,
      made.spec.subset_seed, made.spec.meta_per_class, made.hash);
}

void make_long_tail(const MakeLongTailOptions& options, std::uint64_t seed) {
  DataSource source = load_data(options.data, seed);
  SplitSpec spec = options.split;
  spec.subset_seed = seed;
  const Split split = make_split(source.train, source.num_classes(), spec);
  const auto there = count_labels(source.train.labels, source.num_classes());
  if (const auto warning = profile_warning(there, split, "--profile none"); !warning.empty()) {
    std::fputs((warning + "\n").c_str(), stderr);
  }
  const nlohmann::json manifest = manifest_json(source, split);
  const auto in_file_order = [&](Counts index) {
    std::sort(index.begin(), index.end());
    return select(source.train, index);
  };
  const ImageSet meta = in_file_order(split.meta_index);
  source.train = in_file_order(split.train_index);
  write_folder(options.out, [&](const fs::path& folder) {
    save_as_source(source, meta, folder);
    write_file_atomically(folder / "manifest.json", manifest.dump(2) + "\n");
  });
  const auto present = class_groups(split.class_counts);
  say("{}: {} training, {} held-out, {} test images; groups {} many, {} medium, {} few; hash {}\n",
      options.out, source.train.count(), meta.count(), source.test.count(),
      number_in(present, ClassGroup::many), number_in(present, ClassGroup::medium),
      number_in(present, ClassGroup::few), manifest.at("hash").get<std::string>());
  say("counts: {}\n", fmt::join(split.class_counts, " "));
}

void synthesize_data(const SynthesizeOptions& options, std::uint64_t seed) {
  require(options.format == "cifar" || options.format == "png",
          "--format: expected cifar or png, got {}", options.format);
  const DataSource source = make_synthetic(options.name, seed);
  write_folder(options.out, [&](const fs::path& folder) {
    if (options.format == "png") {
      save_folders(source, folder);
    } else {
      save_cifar(source, folder);
    }
  });
  say("{}: {} training, {} test images of {} classes, seed {}\n", options.out, source.train.count(),
      source.test.count(), source.num_classes(), seed);
}

void preview_data(const PreviewOptions& options, std::uint64_t seed) {
  for (const auto& [name, value] : {std::pair{"--columns", options.columns},
                                    {"--rows", options.rows},
                                    {"--zoom", options.zoom}}) {
    require(value >= 1 && value <= 1000, "{}: expected 1 to 1000, got {}", name, value);
  }
  const DataSource source = load_data(options.data, seed);
  const ImageSet& images = source.train;
  std::vector<Counts> rows(std::size_t(source.num_classes()));
  for (std::int64_t i = 0; i < images.count(); ++i) {
    Counts& row = rows[std::size_t(images.labels[std::size_t(i)])];
    if (std::int64_t(row.size()) < options.columns) row.push_back(i);
  }
  std::erase_if(rows, [](const Counts& row) { return row.empty(); });
  if (std::int64_t(rows.size()) > options.rows) rows.resize(std::size_t(options.rows));

  constexpr std::int64_t gap = 2;
  constexpr std::uint8_t paper = 255;
  const std::int64_t cell_h = images.height * options.zoom + gap;
  const std::int64_t cell_w = images.width * options.zoom + gap;
  const std::int64_t height = std::int64_t(rows.size()) * cell_h + gap;
  const std::int64_t width = options.columns * cell_w + gap;
  require(height <= image_side_limit && width <= image_side_limit,
          "{}: expected a sheet of at most {} pixels a side, got {} x {} (width x height)",
          options.out, image_side_limit, width, height);
  std::vector<std::uint8_t> sheet(std::size_t(height * width * 3), paper);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t k = 0; k < rows[r].size(); ++k) {
      const auto image = images.image(rows[r][k]);
      for (std::int64_t y = 0; y < cell_h - gap; ++y) {
        for (std::int64_t x = 0; x < cell_w - gap; ++x) {
          const std::int64_t from = (y / options.zoom) * images.width + x / options.zoom;
          const std::int64_t to =
              (gap + std::int64_t(r) * cell_h + y) * width + gap + std::int64_t(k) * cell_w + x;
          std::copy_n(image.begin() + from * 3, 3, sheet.begin() + to * 3);
        }
      }
    }
  }
  write_png(options.out, height, width, sheet);
  say("{}: {} classes, {} x {} pixels (width x height)\n", options.out, rows.size(), width, height);
}

}  // namespace ek
