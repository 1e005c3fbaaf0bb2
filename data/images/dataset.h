#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// 8-bit RGB images of one size with their labels, in the order of the files they came from.
struct ImageSet {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [count, height, width, 3]
  std::vector<std::int64_t> labels;  // [count], in [0, number of classes)
  std::vector<std::uint8_t> coarse;  // [count], CIFAR-100's second label; empty elsewhere

  std::int64_t count() const { return std::int64_t(labels.size()); }
  std::int64_t image_bytes() const { return height * width * 3; }
  std::span<const std::uint8_t> image(std::int64_t record) const {
    return {pixels.data() + record * image_bytes(), std::size_t(image_bytes())};
  }
};

struct DataSource {
  enum class Format { cifar10, cifar100, folders, synthetic };

  // The folder's own name (escaped_bytes in engine/io/text.h where it is not UTF-8), or
  // "synthetic:NAME".
  std::string name;
  Format format = Format::cifar10;
  ImageSet train, test;
  std::vector<std::string> class_names;   // in label order
  std::vector<std::string> coarse_names;  // CIFAR-100's 20 coarse names where the folder has them
  // What a user should know of the set: files that were not used, one class alone. One line each.
  std::vector<std::string> notes;
  // How hard each class was made, in [0, 1]; known for synthetic data alone, otherwise empty.
  std::vector<double> difficulty;

  std::int64_t num_classes() const { return std::int64_t(class_names.size()); }
};

// "cifar10", "cifar100", "folders", "synthetic".
std::string_view name_of(DataSource::Format format);

// Number of images per class, [num_classes]. Classes without an image count 0.
std::vector<std::int64_t> count_labels(std::span<const std::int64_t> labels,
                                       std::int64_t num_classes);

// The records `index` of `images`, in that order. Error when one is out of range.
ImageSet select(const ImageSet& images, std::span<const std::int64_t> index);

// Error that names the data set, the record and its label unless every label is one of the classes.
// Kernels take labels as they come.
void require_labels(const DataSource& source);

// Reads a data set whole into memory and checks its labels. `where` is "synthetic:NAME"
// (data/images/synthetic.h; `seed` is used here alone), a folder in a CIFAR binary layout
// (data/images/cifar.h), or a folder with class folders under train/ and under test/ or val/
// (data/images/folders.h). Anything else is an Error that lists these.
DataSource load_source(const std::string& where, std::uint64_t seed = 0);

}  // namespace ek
