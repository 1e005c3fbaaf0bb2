#include "data/images/image_file.h"

#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <memory>
#include <string>

#include "data/images/bmp.h"
#include "data/images/jpeg.h"
#include "data/images/png_check.h"
#include "engine/io/atomic_file.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

using Bytes = std::span<const std::uint8_t>;

Image decode_checked_png(const std::string& name, Bytes bytes) {
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(bytes.data(), int(bytes.size()), &width, &height, &channels, 3),
      &stbi_image_free);
  // The library keeps a reason only for some of its failures.
  const char* reason = pixels ? "" : stbi_failure_reason();
  require(pixels != nullptr, "{}: corrupt PNG: its pixels cannot be decoded: {}", name,
          reason ? reason : "no reason given");
  Image image{height, width, {}};
  image.pixels.assign(pixels.get(), pixels.get() + std::size_t(height) * std::size_t(width) * 3);
  return image;
}

// The decoder reads colours that a short palette lacks from memory that nobody has written, so it
// is asked for the indices instead.
Image decode_png(const std::string& name, Bytes bytes) {
  const Palette palette = check_png(name, bytes);
  if (palette.empty()) return decode_checked_png(name, bytes);
  const std::string indices = with_indices_as_colours(bytes);
  Image image = decode_checked_png(
      name, {reinterpret_cast<const std::uint8_t*>(indices.data()), indices.size()});
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    const std::size_t index = image.pixels[i];
    require(3 * index < palette.size(),
            "{}: corrupt PNG: a pixel has colour {}, a colour that its palette lacks (it has {})",
            name, index, palette.size() / 3);
    for (std::size_t c = 0; c < 3; ++c) image.pixels[i + c] = palette[3 * index + c];
  }
  return image;
}

}  // namespace

void require_image_size(const std::string& name, std::int64_t width, std::int64_t height) {
  require(width >= 1 && height >= 1 && width <= image_side_limit && height <= image_side_limit,
          "{}: expected sides of 1 to {} pixels, got {} x {} (width x height)", name,
          image_side_limit, width, height);
}

bool is_image_file(const fs::path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".bmp";
}

Image decode_image(const std::string& name, Bytes bytes) {
  if (is_png(bytes)) return decode_png(name, bytes);
  if (is_jpeg(bytes)) return decode_jpeg(name, bytes);
  if (is_bmp(bytes)) return decode_bmp(name, bytes);
  fail("{}: expected a PNG, JPEG or BMP image, got {} bytes of something else", name, bytes.size());
}

Image read_image(const fs::path& file) {
  static constexpr std::uint64_t limit_bytes = std::uint64_t(1) << 30;
  const std::string contents = read_file(file, limit_bytes);
  return decode_image(escaped_bytes(file.string()),
                      {reinterpret_cast<const std::uint8_t*>(contents.data()), contents.size()});
}

std::string encode_png(std::int64_t height, std::int64_t width,
                       std::span<const std::uint8_t> pixels) {
  require(std::int64_t(pixels.size()) == height * width * 3,
          "encode_png: expected {} bytes for {} x {} RGB (width x height), got {}",
          height * width * 3, width, height, pixels.size());
  std::string bytes;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), std::size_t(size));
  };
  require(stbi_write_png_to_func(append, &bytes, int(width), int(height), 3, pixels.data(),
                                 int(width * 3)) != 0,
          "encode_png: encoding {} x {} pixels (width x height) failed", width, height);
  return bytes;
}

void write_png(const fs::path& file, std::int64_t height, std::int64_t width,
               std::span<const std::uint8_t> pixels) {
  write_file_atomically(file, encode_png(height, width, pixels));
}

}  // namespace ek
