#include "data/images/folders.h"

#include <algorithm>

#include "data/images/files.h"
#include "data/images/image_file.h"
#include "data/images/left_out.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

std::string shown(const fs::path& path) {
  return escaped_bytes(path.string());
}

// Without those whose names begin with a dot.
std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> out;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!entry->path().filename().string().starts_with('.')) out.push_back(entry->path());
  }
  require(!error, "{}: cannot be read: {}", shown(folder), error.message());
  std::sort(out.begin(), out.end());
  return out;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}
bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// A class that vanishes moves the labels of all behind it, so that a link for one that leads
// nowhere is a fault, not something to leave out.
std::vector<fs::path> class_folders(const fs::path& part, LeftOut& left_out) {
  std::vector<fs::path> classes;
  for (const fs::path& entry : sorted_entries(part)) {
    require(!leads_nowhere(entry), "{}: expected a class folder, got a link that leads nowhere",
            shown(entry));
    if (is_folder(entry)) {
      require_utf8(entry.filename().string(),
                   fmt::format("{}: name of a class folder", shown(part)));
      classes.push_back(entry);
    } else {
      left_out.add(entry, "file beside the class folders", "files beside the class folders");
    }
  }
  return classes;
}

std::vector<std::string> names_of(const std::vector<fs::path>& folders) {
  std::vector<std::string> names;
  for (const fs::path& folder : folders) names.push_back(folder.filename().string());
  return names;
}

// Error unless `names` are the classes that `expected` has, which came from the part `other`.
void require_classes(const fs::path& part, const std::vector<std::string>& names,
                     const fs::path& other, const std::vector<std::string>& expected) {
  std::vector<std::string> missing;
  std::ranges::set_difference(expected, names, std::back_inserter(missing));
  if (missing.empty()) return;
  constexpr std::size_t most_shown = 5;
  const std::size_t count = missing.size();
  missing.resize(std::min(count, most_shown));
  for (std::string& name : missing) name = escaped_bytes(name);
  fail("{}: expected the {} classes under {}, without a folder: {}{}", shown(part), expected.size(),
       shown(other), fmt::join(missing, ", "),
       count > most_shown ? fmt::format(" and {} more", count - most_shown) : "");
}

// Sets the size with the first image of the whole data set and compares all others with it.
struct SizeCheck {
  fs::path first;
  std::int64_t height = 0, width = 0;

  void operator()(const Image& image, const fs::path& file) {
    if (first.empty()) *this = {file, image.height, image.width};
    require(
        image.height == height && image.width == width,
        "{}: {} x {} pixels (width x height), expected the size of {}, {} x {}; all images need "
        "one size: scale them before, for example with ImageMagick's mogrify -resize '{}x{}!'",
        shown(file), image.width, image.height, shown(first), width, height, width, height);
  }
};

void append_class(ImageSet& out, const fs::path& folder, std::int64_t label, SizeCheck& check,
                  LeftOut& left_out) {
  const std::int64_t before = out.count();
  LeftOut here;
  for (const fs::path& file : sorted_entries(folder)) {
    if (!is_image_file(file) || !is_file(file)) {
      left_out.add(file);
      here.add(file);
      continue;
    }
    const Image image = read_image(file);
    check(image, file);
    out.height = check.height;
    out.width = check.width;
    out.pixels.insert(out.pixels.end(), image.pixels.begin(), image.pixels.end());
    out.labels.push_back(label);
  }
  const std::string others = here.line(folder);
  require(out.count() > before, "{}: expected PNG, JPEG or BMP images, found none{}", shown(folder),
          others.empty() ? "" : ", but " + others);
}

}  // namespace

bool is_class_folder(const fs::path& folder) {
  const fs::path train = folder / "train";
  if (!is_folder(train)) return false;
  return std::ranges::any_of(sorted_entries(train), [](const fs::path& entry) {
    return is_folder(entry) || leads_nowhere(entry);
  });
}

DataSource load_folders(const fs::path& folder) {
  DataSource source;
  source.name = folder_name(folder);
  source.format = DataSource::Format::folders;
  LeftOut left_out;
  const fs::path train = folder / "train", val = folder / "val";
  const bool has_test = is_folder(folder / "test");
  const fs::path test = has_test || !is_folder(val) ? folder / "test" : val;
  require(is_folder(test),
          "{}: expected a folder of class folders beside train (test or val), both are missing",
          shown(test));
  if (has_test && is_folder(val)) left_out.add(val, "folder beside test", "folders beside test");

  const auto train_folders = class_folders(train, left_out);
  const auto test_folders = class_folders(test, left_out);
  source.class_names = names_of(train_folders);
  const auto test_names = names_of(test_folders);
  require_classes(test, test_names, train, source.class_names);
  require_classes(train, source.class_names, test, test_names);
  SizeCheck check;
  for (std::size_t c = 0; c < train_folders.size(); ++c) {
    append_class(source.train, train_folders[c], std::int64_t(c), check, left_out);
  }
  for (std::size_t c = 0; c < test_folders.size(); ++c) {
    append_class(source.test, test_folders[c], std::int64_t(c), check, left_out);
  }
  if (const std::string line = left_out.line(folder); !line.empty()) {
    source.notes.push_back(
        fmt::format("data {}: not used: {}; what is read are PNG, JPEG and BMP files in "
                    "train/CLASS and {}/CLASS",
                    escaped_bytes(source.name), line, test.filename().string()));
  }
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
