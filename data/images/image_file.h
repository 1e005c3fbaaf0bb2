#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace ek {

struct Image {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [height, width, 3], RGB
};

// Largest side that is believed; a header that claims more is refused before memory is taken.
inline constexpr std::int64_t image_side_limit = 8192;

// Error with `name` unless both sides are 1 to image_side_limit.
void require_image_size(const std::string& name, std::int64_t width, std::int64_t height);

// True for .png, .jpg, .jpeg and .bmp, in either case.
bool is_image_file(const std::filesystem::path& file);

// Decodes a PNG, JPEG or BMP file, told apart by its first bytes, to 8-bit RGB: grey is spread to
// three channels, of 16 bits the upper 8 are taken, an alpha channel is dropped, EXIF orientation
// is ignored. Error with the file's name and what is wrong with it: no such image, truncated,
// damaged, too large, or of a kind that is not read (data/images/jpeg.h, bmp.h and png_check.h list
// them).
Image read_image(const std::filesystem::path& file);
// The same of a file's bytes; `name` stands for the file in messages.
Image decode_image(const std::string& name, std::span<const std::uint8_t> bytes);

// [height, width, 3] pixels as the bytes of a PNG file.
std::string encode_png(std::int64_t height, std::int64_t width,
                       std::span<const std::uint8_t> pixels);
// The same as a file, written beside and renamed.
void write_png(const std::filesystem::path& file, std::int64_t height, std::int64_t width,
               std::span<const std::uint8_t> pixels);

}  // namespace ek
