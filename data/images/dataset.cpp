#include "data/images/dataset.h"

#include <algorithm>
#include <filesystem>

#include "data/images/cifar.h"
#include "data/images/folders.h"
#include "data/images/synthetic.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {

std::string_view name_of(DataSource::Format format) {
  switch (format) {
    case DataSource::Format::cifar10:
      return "cifar10";
    case DataSource::Format::cifar100:
      return "cifar100";
    case DataSource::Format::folders:
      return "folders";
    case DataSource::Format::synthetic:
      return "synthetic";
  }
  return "?";
}

std::vector<std::int64_t> count_labels(std::span<const std::int64_t> labels,
                                       std::int64_t num_classes) {
  std::vector<std::int64_t> counts(std::size_t(num_classes), 0);
  for (std::int64_t label : labels) {
    require(label >= 0 && label < num_classes, "count_labels: expected labels in [0, {}), got {}",
            num_classes, label);
    ++counts[std::size_t(label)];
  }
  return counts;
}

ImageSet select(const ImageSet& images, std::span<const std::int64_t> index) {
  ImageSet out;
  out.height = images.height;
  out.width = images.width;
  out.labels.reserve(index.size());
  out.pixels.reserve(index.size() * std::size_t(images.image_bytes()));
  for (std::int64_t record : index) {
    require(record >= 0 && record < images.count(), "select: expected records in [0, {}), got {}",
            images.count(), record);
    const auto image = images.image(record);
    out.pixels.insert(out.pixels.end(), image.begin(), image.end());
    out.labels.push_back(images.labels[std::size_t(record)]);
    if (!images.coarse.empty()) out.coarse.push_back(images.coarse[std::size_t(record)]);
  }
  return out;
}

void require_labels(const DataSource& source) {
  const std::int64_t classes = source.num_classes();
  for (const auto& [part, images] :
       {std::pair("training", &source.train), std::pair("test", &source.test)}) {
    for (std::int64_t record = 0; record < images->count(); ++record) {
      const std::int64_t label = images->labels[std::size_t(record)];
      require(label >= 0 && label < classes,
              "data {}: record {} of the {} images has the label {}, expected 0 to {}", source.name,
              record, part, label, classes - 1);
    }
  }
}

namespace {

DataSource read_source(const std::string& where, std::uint64_t seed) {
  static constexpr std::string_view prefix = "synthetic:";
  if (where.starts_with(prefix)) return make_synthetic(where.substr(prefix.size()), seed);
  if (is_cifar_folder(where)) return load_cifar(where);
  if (is_class_folder(where)) return load_folders(where);
  const bool exists = std::filesystem::is_directory(where);
  fail(
      "data {}: {}; expected a folder with train.bin and test.bin (CIFAR-100), with "
      "data_batch_*.bin and test_batch.bin (CIFAR-10), with class folders of PNG, JPEG or BMP "
      "images under train/ and test/ (or val/), or synthetic:NAME (names: {})",
      escaped_bytes(where),
      exists ? "the folder has none of the known layouts" : "there is no such folder",
      fmt::join(synthetic_names(), ", "));
}

// A set that an empty download or a wrong label file has left with one class trains to an accuracy
// of 1.
void note_single_class(DataSource& source) {
  const auto counts = count_labels(source.train.labels, source.num_classes());
  const auto largest = std::ranges::max_element(counts);
  if (largest == counts.end() || *largest == 0 || *largest < source.train.count()) return;
  const std::string& name = source.class_names[std::size_t(largest - counts.begin())];
  source.notes.push_back(
      fmt::format("data {}: all {} training images are of one class, \"{}\": there is nothing to "
                  "tell apart",
                  source.name, source.train.count(), escaped_bytes(name)));
}

}  // namespace

DataSource load_source(const std::string& where, std::uint64_t seed) {
  DataSource source = read_source(where, seed);
  require_labels(source);
  note_single_class(source);
  return source;
}

}  // namespace ek
