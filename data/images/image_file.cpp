#include "data/images/image_file.h"

#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <memory>
#include <string>

#include "data/images/jpeg.h"
#include "data/images/png_check.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

using Bytes = std::span<const std::uint8_t>;
bool is_jpeg(Bytes bytes) {
  return bytes.size() >= 4 && bytes[0] == 0xFF && bytes[1] == 0xD8;
}

}  // namespace

bool is_image_file(const fs::path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

namespace {

const char* reason() {
  const char* text = stbi_failure_reason();
  return text ? text : "the image library gives no reason";
}

Image decode_checked_png(const std::string& name, Bytes bytes) {
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(bytes.data(), int(bytes.size()), &width, &height, &channels, 3),
      &stbi_image_free);
  require(pixels != nullptr, "{}: cannot be decoded: {}", name, reason());
  Image image{height, width, {}};
  image.pixels.assign(pixels.get(), pixels.get() + std::size_t(height) * std::size_t(width) * 3);
  return image;
}

// The decoder takes colours that a short palette lacks from memory that nobody has written. An
// image that looks the same whatever stands there needs none of them.
Image decode_png(const std::string& name, Bytes bytes) {
  check_png(name, bytes);
  if (missing_colours(bytes) == 0) return decode_checked_png(name, bytes);
  const auto with = [&](std::uint8_t grey) {
    const std::string whole = with_full_palette(bytes, grey);
    return decode_checked_png(name,
                              {reinterpret_cast<const std::uint8_t*>(whole.data()), whole.size()});
  };
  Image image = with(0);
  require(image.pixels == with(255).pixels,
          "{}: corrupt PNG: a pixel has a colour that its palette lacks", name);
  return image;
}

}  // namespace

Image decode_image(const std::string& name, std::span<const std::uint8_t> bytes) {
  if (is_png(bytes)) return decode_png(name, bytes);
  require(is_jpeg(bytes), "{}: expected a PNG or JPEG image, got {} bytes of something else", name,
          bytes.size());
  return decode_jpeg(name, bytes);
}

Image read_image(const fs::path& file) {
  static constexpr std::uint64_t limit_bytes = std::uint64_t(1) << 30;
  const std::string contents = read_file(file, limit_bytes);
  return decode_image(file.string(),
                      {reinterpret_cast<const std::uint8_t*>(contents.data()), contents.size()});
}

std::string encode_png(std::int64_t height, std::int64_t width,
                       std::span<const std::uint8_t> pixels) {
  require(std::int64_t(pixels.size()) == height * width * 3,
          "encode_png: expected {} bytes for {} x {} RGB, got {}", height * width * 3, height,
          width, pixels.size());
  std::string bytes;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), std::size_t(size));
  };
  require(stbi_write_png_to_func(append, &bytes, int(width), int(height), 3, pixels.data(),
                                 int(width * 3)) != 0,
          "encode_png: encoding {} x {} pixels failed", height, width);
  return bytes;
}

void write_png(const fs::path& file, std::int64_t height, std::int64_t width,
               std::span<const std::uint8_t> pixels) {
  write_file_atomically(file, encode_png(height, width, pixels));
}

}  // namespace ek
