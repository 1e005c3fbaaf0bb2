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

// True for .png, .jpg and .jpeg, in either case.
bool is_image_file(const std::filesystem::path& file);

// Decodes a PNG or JPEG file to 8-bit RGB: grey is spread to three channels, an alpha channel is
// dropped, EXIF orientation is ignored. Error naming the file when it is no such image, truncated,
// damaged, too large, or (PNG) fails its checksums or lacks colours that it uses.
Image read_image(const std::filesystem::path& file);
// The same of a file's bytes; `name` names it in messages.
Image decode_image(const std::string& name, std::span<const std::uint8_t> bytes);

// [height, width, 3] pixels as the bytes of a PNG file.
std::string encode_png(std::int64_t height, std::int64_t width,
                       std::span<const std::uint8_t> pixels);
// The same as a file, written beside and renamed.
void write_png(const std::filesystem::path& file, std::int64_t height, std::int64_t width,
               std::span<const std::uint8_t> pixels);

}  // namespace ek
