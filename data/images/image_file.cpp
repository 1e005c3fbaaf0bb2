#include "data/images/image_file.h"

#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

using Bytes = std::span<const std::uint8_t>;
constexpr std::array<std::uint8_t, 8> png_signature{0x89, 'P', 'N', 'G', 13, 10, 26, 10};

bool is_png(Bytes bytes) {
  return bytes.size() >= png_signature.size() &&
         std::equal(png_signature.begin(), png_signature.end(), bytes.begin());
}
bool is_jpeg(Bytes bytes) {
  return bytes.size() >= 4 && bytes[0] == 0xFF && bytes[1] == 0xD8;
}

// CRC-32 of the PNG specification, bit by bit over a table of 256.
std::uint32_t crc32(Bytes bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t n = 0; n < 256; ++n) {
      std::uint32_t c = n;
      for (int k = 0; k < 8; ++k) c = (c & 1) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      t[n] = c;
    }
    return t;
  }();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const std::uint8_t byte : bytes) crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

std::uint32_t big_endian(Bytes b) {
  return std::uint32_t(b[0]) << 24 | std::uint32_t(b[1]) << 16 | std::uint32_t(b[2]) << 8 | b[3];
}

// The decoder does not look at the checksums, so a flipped byte would pass as a picture.
void check_png(const std::string& name, Bytes bytes) {
  for (std::size_t at = png_signature.size();;) {
    require(at + 12 <= bytes.size(), "{}: truncated PNG: the file ends without an IEND chunk",
            name);
    const std::uint64_t length = big_endian(bytes.subspan(at));
    require(at + 12 + length <= bytes.size(),
            "{}: truncated PNG: expected a chunk of {} bytes at {}, the file has {}", name, length,
            at, bytes.size());
    const Bytes body = bytes.subspan(at + 4, std::size_t(length) + 4);
    require(crc32(body) == big_endian(bytes.subspan(at + 8 + std::size_t(length))),
            "{}: corrupt PNG: the checksum of the chunk at byte {} does not match", name, at);
    if (std::equal(body.begin(), body.begin() + 4, "IEND")) return;
    at += 12 + std::size_t(length);
  }
}

// The decoder fills what a truncated JPEG lacks with grey, so look for the end marker:
// entropy-coded data never contains one, hence it is missing exactly when none follows the last
// start of scan.
void check_jpeg(const std::string& name, Bytes bytes) {
  const auto last_marker = [&](std::uint8_t code) {
    for (std::size_t i = bytes.size() - 1; i > 0; --i) {
      if (bytes[i - 1] == 0xFF && bytes[i] == code) return i;
    }
    return std::size_t(0);
  };
  const std::size_t scan = last_marker(0xDA), end = last_marker(0xD9);
  require(scan > 0 && end > scan, "{}: truncated JPEG: the file ends without an end marker", name);
}

}  // namespace

bool is_image_file(const fs::path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

Image read_image(const fs::path& file) {
  static constexpr std::uint64_t limit_bytes = std::uint64_t(1) << 30;
  const std::string name = file.string();
  const std::string contents = read_file(file, limit_bytes);
  const Bytes bytes(reinterpret_cast<const std::uint8_t*>(contents.data()), contents.size());
  if (is_png(bytes)) {
    check_png(name, bytes);
  } else {
    require(is_jpeg(bytes), "{}: expected a PNG or JPEG image, got {} bytes of something else",
            name, bytes.size());
    check_jpeg(name, bytes);
  }
  int width = 0, height = 0, channels = 0;
  require(stbi_info_from_memory(bytes.data(), int(bytes.size()), &width, &height, &channels) == 1,
          "{}: cannot be decoded: {}", name, stbi_failure_reason());
  require(width >= 1 && height >= 1 && width <= image_side_limit && height <= image_side_limit,
          "{}: expected sides of 1 to {} pixels, got {} x {}", name, image_side_limit, width,
          height);
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(bytes.data(), int(bytes.size()), &width, &height, &channels, 3),
      &stbi_image_free);
  require(pixels != nullptr, "{}: cannot be decoded: {}", name, stbi_failure_reason());
  Image image{height, width, {}};
  image.pixels.assign(pixels.get(), pixels.get() + std::size_t(height) * std::size_t(width) * 3);
  return image;
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
