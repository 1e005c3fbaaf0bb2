#include "data/images/bmp.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ek {
namespace {

using Bytes = std::span<const std::uint8_t>;
constexpr std::size_t file_header = 14;
constexpr std::uint32_t old_header = 12;  // OS/2: sides of 16 bits, palette of three bytes a colour

struct Header {
  std::size_t pixels = 0;  // offset of the first row
  std::int64_t width = 0, height = 0;
  bool from_above = false;
  int bits = 0;
  std::size_t palette = 0, colour_bytes = 4, colours = 0;
};

std::uint32_t little_endian(Bytes bytes, std::size_t at, int count) {
  std::uint32_t value = 0;
  for (int i = count; i-- > 0;) value = value << 8 | bytes[at + std::size_t(i)];
  return value;
}

void check_masks(const std::string& name, Bytes bytes) {
  constexpr std::size_t masks = file_header + 40;  // inside a long header, behind a short one
  require(masks + 12 <= bytes.size(), "{}: truncated BMP: the file ends in its header", name);
  require(little_endian(bytes, masks, 4) == 0xFF0000 &&
              little_endian(bytes, masks + 4, 4) == 0xFF00 &&
              little_endian(bytes, masks + 8, 4) == 0xFF,
          "{}: BMP with masks of its own for the colours, expected blue, green, red", name);
}

Header read_header(const std::string& name, Bytes bytes) {
  require(bytes.size() >= file_header + old_header,
          "{}: truncated BMP: the file ends in its header", name);
  Header header;
  header.pixels = little_endian(bytes, 10, 4);
  const std::uint32_t size = little_endian(bytes, 14, 4);
  require(size == old_header || size == 40 || size == 52 || size == 56 || size == 64 ||
              size == 108 || size == 124,
          "{}: corrupt BMP: there is no header of {} bytes", name, size);
  require(file_header + size <= bytes.size(), "{}: truncated BMP: the file ends in its header",
          name);
  header.palette = file_header + size;
  const bool old = size == old_header;
  if (old) {
    header.width = little_endian(bytes, 18, 2);
    header.height = little_endian(bytes, 20, 2);
    header.bits = int(little_endian(bytes, 24, 2));
    header.colour_bytes = 3;
  } else {
    header.width = std::int32_t(little_endian(bytes, 18, 4));
    header.height = std::int32_t(little_endian(bytes, 22, 4));
    header.bits = int(little_endian(bytes, 28, 2));
    header.from_above = header.height < 0;
    header.height = std::abs(header.height);
  }
  require_image_size(name, header.width, header.height);
  const std::uint32_t compression = old ? 0 : little_endian(bytes, 30, 4);
  const bool masked = compression == 3 && header.bits == 32;
  require(compression == 0 || masked, "{}: BMP with compression {}, expected an uncompressed one",
          name, compression);
  if (masked) check_masks(name, bytes);
  const bool palette = header.bits == 1 || header.bits == 4 || header.bits == 8;
  require(palette || header.bits == 24 || header.bits == 32,
          "{}: BMP with {} bits a pixel, expected 1, 4, 8, 24 or 32", name, header.bits);
  if (palette) {
    const std::size_t named = std::size_t(1) << header.bits;
    const std::size_t stated = old ? 0 : little_endian(bytes, 46, 4);
    require(header.pixels >= header.palette, "{}: corrupt BMP: the pixels begin in the header",
            name);
    const std::size_t room = (header.pixels - header.palette) / header.colour_bytes;
    header.colours = std::min({stated == 0 ? named : stated, named, room});
  }
  return header;
}

}  // namespace

bool is_bmp(Bytes bytes) {
  return bytes.size() >= 2 && bytes[0] == 'B' && bytes[1] == 'M';
}

Image decode_bmp(const std::string& name, Bytes bytes) {
  const Header header = read_header(name, bytes);
  const std::int64_t row_bytes = (header.width * header.bits + 31) / 32 * 4;
  const std::uint64_t needed = header.pixels + std::uint64_t(row_bytes * header.height);
  require(header.pixels >= header.palette && needed <= bytes.size(),
          "{}: truncated BMP: expected {} bytes, the file has {}", name, needed, bytes.size());
  Image image{header.height, header.width,
              std::vector<std::uint8_t>(std::size_t(header.width * header.height * 3))};
  std::uint8_t* rgb = image.pixels.data();
  for (std::int64_t y = 0; y < header.height; ++y) {
    const std::int64_t stored = header.from_above ? y : header.height - 1 - y;
    const Bytes row = bytes.subspan(header.pixels + std::size_t(stored * row_bytes));
    for (std::int64_t x = 0; x < header.width; ++x, rgb += 3) {
      const std::size_t bit = std::size_t(x * header.bits);
      Bytes colour = row.subspan(bit / 8);
      if (header.bits <= 8) {
        const int shift = 8 - header.bits - int(bit % 8);
        const std::size_t index = colour[0] >> shift & ((1 << header.bits) - 1);
        require(index < header.colours,
                "{}: corrupt BMP: a pixel has colour {}, the palette has {}", name, index,
                header.colours);
        colour = bytes.subspan(header.palette + index * header.colour_bytes);
      }
      for (std::size_t c = 0; c < 3; ++c) rgb[c] = colour[2 - c];
    }
  }
  return image;
}

}  // namespace ek
