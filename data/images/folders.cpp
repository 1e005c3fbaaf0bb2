#include "data/images/folders.h"

#include <algorithm>

#include "data/images/files.h"
#include "data/images/image_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> sorted_entries(const fs::path& folder, bool (*keep)(const fs::path&)) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with('.') && keep(entry.path())) {
      out.push_back(entry.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> class_folders(const fs::path& part) {
  return sorted_entries(part, [](const fs::path& p) { return fs::is_directory(p); });
}

// Sets the size with the first image of the whole data set and compares all others with it.
struct SizeCheck {
  fs::path first;
  std::int64_t height = 0, width = 0;

  void operator()(const Image& image, const fs::path& file) {
    if (first.empty()) *this = {file, image.height, image.width};
    require(image.height == height && image.width == width,
            "{}: expected the size of {}, {} x {}, got {} x {}", file.string(), first.string(),
            height, width, image.height, image.width);
  }
};

void append_class(ImageSet& out, const fs::path& folder, std::int64_t label, SizeCheck& check) {
  for (const fs::path& file : sorted_entries(folder, &is_image_file)) {
    const Image image = read_image(file);
    check(image, file);
    out.height = check.height;
    out.width = check.width;
    out.pixels.insert(out.pixels.end(), image.pixels.begin(), image.pixels.end());
    out.labels.push_back(label);
  }
}

}  // namespace

bool is_class_folder(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "train", error) && !class_folders(folder / "train").empty();
}

DataSource load_folders(const fs::path& folder) {
  DataSource source;
  source.name = folder_name(folder);
  source.format = DataSource::Format::folders;
  require(fs::is_directory(folder / "test"),
          "{}: expected a folder of class folders beside train, it is missing",
          (folder / "test").string());
  SizeCheck check;
  for (const fs::path& entry : class_folders(folder / "train")) {
    const std::int64_t before = source.train.count();
    append_class(source.train, entry, source.num_classes(), check);
    require(source.train.count() > before, "{}: expected PNG or JPEG images, found none",
            entry.string());
    source.class_names.push_back(entry.filename().string());
  }
  for (const fs::path& entry : class_folders(folder / "test")) {
    const auto& names = source.class_names;
    const auto found = std::find(names.begin(), names.end(), entry.filename().string());
    require(found != names.end(), "{}: expected one of the {} classes under train, got {}",
            entry.string(), names.size(), entry.filename().string());
    append_class(source.test, entry, found - names.begin(), check);
  }
  require(source.test.count() > 0, "{}: expected PNG or JPEG images in class folders, found none",
          (folder / "test").string());
  return source;
}

void save_class_folders(const ImageSet& images, const std::vector<std::string>& class_names,
                        const fs::path& part) {
  for (const std::string& name : class_names) {
    require(!name.empty() && name.front() != '.' && name.find('/') == std::string::npos,
            "{}: class name \"{}\" cannot be a folder name", part.string(), name);
    std::error_code error;
    fs::create_directories(part / name, error);
    require(!error, "{}: cannot be created: {}", (part / name).string(), error.message());
  }
  for (std::int64_t i = 0; i < images.count(); ++i) {
    const std::string& name = class_names.at(std::size_t(images.labels[std::size_t(i)]));
    write_file_in_new_folder(part / name / fmt::format("{:06}.png", i),
                             encode_png(images.height, images.width, images.image(i)));
  }
}

void save_folders(const DataSource& source, const fs::path& folder) {
  save_class_folders(source.train, source.class_names, folder / "train");
  save_class_folders(source.test, source.class_names, folder / "test");
}

}  // namespace ek
