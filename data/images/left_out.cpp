#include "data/images/left_out.h"

#include <algorithm>
#include <array>

#include "data/images/image_file.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

// Formats that hold images and are not read, by the usual ends of their files' names.
constexpr std::array<std::string_view, 13> image_formats{".webp", ".gif",  ".tif", ".tiff", ".avif",
                                                         ".heic", ".heif", ".jp2", ".jxl",  ".ppm",
                                                         ".pgm",  ".pnm",  ".tga"};

std::string lower_extension(const fs::path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return extension;
}

// Links to folders are not followed, so that a circle of them ends.
std::int64_t images_below(const fs::path& folder) {
  std::error_code error, ignored;
  std::int64_t images = 0;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    images += is_image_file(entry->path()) && fs::is_regular_file(entry->path(), ignored);
  }
  return images;
}

}  // namespace

bool leads_nowhere(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error)) && !fs::exists(path, error);
}

void LeftOut::add(const fs::path& entry) {
  std::error_code error;
  if (leads_nowhere(entry)) {
    add(entry, "link that leads nowhere", "links that lead nowhere");
  } else if (fs::is_directory(entry, error)) {
    const bool images = images_below(entry) > 0;
    add(entry, images ? "folder with images inside a class folder" : "folder inside a class folder",
        images ? "folders with images inside class folders" : "folders inside class folders");
  } else if (const std::string kind = lower_extension(entry);
             std::ranges::find(image_formats, kind) != image_formats.end()) {
    add(entry, kind + " file", kind + " files");
  } else {
    add(entry, "other file", "other files");
  }
}

void LeftOut::add(const fs::path& entry, const std::string& one, const std::string& many) {
  const auto found = std::ranges::find(counts_, one, &Count::one);
  if (found == counts_.end()) {
    counts_.push_back({one, many, 1, entry});
  } else {
    ++found->entries;
  }
}

std::string LeftOut::line(const fs::path& root) const {
  std::vector<std::string> parts;
  for (const auto& [one, many, entries, first] : counts_) {
    parts.push_back(fmt::format("{} {} ({}{})", entries, entries == 1 ? one : many,
                                escaped_bytes(first.lexically_relative(root).string()),
                                entries == 1 ? "" : " ..."));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace ek
