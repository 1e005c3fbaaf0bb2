#include "data/images/cifar.h"

#include <algorithm>

#include "data/images/files.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

using Format = DataSource::Format;
constexpr std::uint64_t file_limit_bytes = std::uint64_t(16) << 30;
constexpr std::int64_t plane = cifar_side * cifar_side;

std::int64_t label_bytes(Format format) {
  return format == Format::cifar100 ? 2 : 1;
}
std::int64_t record_bytes(Format format) {
  return label_bytes(format) + 3 * plane;
}

std::vector<fs::path> train_files(const fs::path& folder, Format format) {
  if (format == Format::cifar100) return {folder / "train.bin"};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("data_batch_") && name.ends_with(".bin")) files.push_back(entry.path());
  }
  // data_batch_10 comes after data_batch_9.
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    const auto x = a.filename().string(), y = b.filename().string();
    return std::pair(x.size(), x) < std::pair(y.size(), y);
  });
  return files;
}

void append_records(ImageSet& out, const fs::path& file, Format format, std::int64_t num_classes) {
  const std::string bytes = read_file(file, file_limit_bytes);
  const std::int64_t size = std::int64_t(bytes.size()), record = record_bytes(format);
  require(size > 0, "{}: expected records of {} bytes ({}), the file is empty", file.string(),
          record, name_of(format));
  require(size % record == 0,
          "{}: expected a multiple of the record size {} ({}), got {} bytes ({} left over)",
          file.string(), record, name_of(format), size, size % record);
  const std::int64_t count = size / record, first = out.count();
  out.pixels.resize(std::size_t((first + count) * 3 * plane));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * record;
    const std::int64_t label = from[label_bytes(format) - 1];
    require(label < num_classes, "{}: record {}: expected a label below {}, got {}", file.string(),
            i, num_classes, label);
    out.labels.push_back(label);
    if (format == Format::cifar100) out.coarse.push_back(from[0]);
    from += label_bytes(format);
    std::uint8_t* to = out.pixels.data() + (first + i) * 3 * plane;
    for (std::int64_t p = 0; p < plane; ++p) {
      for (int c = 0; c < 3; ++c) to[p * 3 + c] = from[c * plane + p];
    }
  }
}

std::vector<std::string> numbered_names(std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<std::string> load_names(const fs::path& folder, Format format) {
  const bool fine = format == Format::cifar100;
  const fs::path file = folder / (fine ? "fine_label_names.txt" : "batches.meta.txt");
  if (!fs::exists(file)) return numbered_names(fine ? 100 : 10);
  auto names = read_lines(file);
  const auto count = names.size();
  if (fine) {
    require(count == 100, "{}: expected 100 names, got {}", file.string(), count);
  } else {
    require(count >= 1 && count <= 256, "{}: expected 1 to 256 names, got {}", file.string(),
            count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    require(!names[i].empty(), "{}: expected a name in every line, line {} is empty", file.string(),
            i + 1);
  }
  return names;
}

std::string lines(const std::vector<std::string>& names) {
  return fmt::format("{}\n", fmt::join(names, "\n"));
}

}  // namespace

bool is_cifar_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return false;
  for (const char* name : {"train.bin", "test.bin", "test_batch.bin"}) {
    if (fs::is_regular_file(folder / name, error)) return true;
  }
  return !train_files(folder, Format::cifar10).empty();
}

DataSource load_cifar(const fs::path& folder) {
  const bool hundred = fs::exists(folder / "train.bin") || fs::exists(folder / "test.bin");
  DataSource source;
  source.name = folder_name(folder);
  source.format = hundred ? Format::cifar100 : Format::cifar10;
  const auto files = train_files(folder, source.format);
  require(!files.empty(), "{}: expected data_batch_*.bin beside test_batch.bin, found none",
          folder.string());
  const fs::path test = folder / (hundred ? "test.bin" : "test_batch.bin");
  for (const fs::path& file : {files.front(), test}) {
    require(fs::is_regular_file(file), "{}: expected this file ({} layout), it is missing",
            file.string(), name_of(source.format));
  }
  source.class_names = load_names(folder, source.format);
  if (const fs::path coarse = folder / "coarse_label_names.txt"; hundred && fs::exists(coarse)) {
    source.coarse_names = read_lines(coarse);
  }
  for (ImageSet* images : {&source.train, &source.test}) {
    images->height = images->width = cifar_side;
  }
  for (const fs::path& file : files) {
    append_records(source.train, file, source.format, source.num_classes());
  }
  append_records(source.test, test, source.format, source.num_classes());
  return source;
}

void save_cifar_records(const ImageSet& images, Format format, const fs::path& file) {
  require(images.height == cifar_side && images.width == cifar_side,
          "{}: expected images of {} x {}, got {} x {} (width x height)", file.string(), cifar_side,
          cifar_side, images.width, images.height);
  const std::int64_t limit = format == Format::cifar100 ? 100 : 256;
  std::string bytes;
  bytes.reserve(std::size_t(images.count() * record_bytes(format)));
  for (std::int64_t i = 0; i < images.count(); ++i) {
    const std::int64_t label = images.labels[std::size_t(i)];
    require(label >= 0 && label < limit, "{}: record {}: expected a label below {}, got {}",
            file.string(), i, limit, label);
    if (format == Format::cifar100) {
      bytes.push_back(images.coarse.empty() ? '\0' : char(images.coarse[std::size_t(i)]));
    }
    bytes.push_back(char(label));
    const auto image = images.image(i);
    for (int c = 0; c < 3; ++c) {
      for (std::int64_t p = 0; p < plane; ++p) bytes.push_back(char(image[std::size_t(p * 3 + c)]));
    }
  }
  write_file_atomically(file, bytes);
}

void save_cifar(const DataSource& source, const fs::path& folder) {
  const bool hundred = source.format == Format::cifar100;
  const Format format = hundred ? Format::cifar100 : Format::cifar10;
  save_cifar_records(source.train, format, folder / (hundred ? "train.bin" : "data_batch_1.bin"));
  save_cifar_records(source.test, format, folder / (hundred ? "test.bin" : "test_batch.bin"));
  write_file_atomically(folder / (hundred ? "fine_label_names.txt" : "batches.meta.txt"),
                        lines(source.class_names));
  if (hundred && !source.coarse_names.empty()) {
    write_file_atomically(folder / "coarse_label_names.txt", lines(source.coarse_names));
  }
}

}  // namespace ek
