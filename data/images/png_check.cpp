#include "data/images/png_check.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

#include "data/images/image_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using Bytes = std::span<const std::uint8_t>;
constexpr std::array<std::uint8_t, 8> png_signature{0x89, 'P', 'N', 'G', 13, 10, 26, 10};
constexpr int indexed = 3;  // the colour type

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

using OnChunk = std::function<void(std::string_view kind, Bytes body)>;

// Each chunk to the end marker, checked to be whole.
void for_chunks(const std::string& name, Bytes bytes, const OnChunk& on_chunk) {
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
    const std::string_view kind(reinterpret_cast<const char*>(body.data()), 4);
    on_chunk(kind, body.subspan(4));
    if (kind == "IEND") return;
    at += 12 + std::size_t(length);
  }
}

bool is_allowed(int colour, int depth) {
  switch (colour) {
    case 0:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case indexed:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2:
    case 4:
    case 6:
      return depth == 8 || depth == 16;
    default:
      return false;
  }
}

void check_header(const std::string& name, Bytes body) {
  require(body.size() == 13, "{}: corrupt PNG: a header of {} bytes", name, body.size());
  const std::uint32_t width = big_endian(body), height = big_endian(body.subspan(4));
  require(width >= 1 && height >= 1 && width <= image_side_limit && height <= image_side_limit,
          "{}: expected sides of 1 to {} pixels, got {} x {} (width x height)", name,
          image_side_limit, width, height);
  const int depth = body[8], colour = body[9];
  require(is_allowed(colour, depth), "{}: corrupt PNG: colour type {} with {} bits", name, colour,
          depth);
  require(body[10] == 0 && body[11] == 0 && body[12] <= 1,
          "{}: corrupt PNG: compression {}, filter {}, interlacing {}", name, body[10], body[11],
          body[12]);
}

}  // namespace

bool is_png(Bytes bytes) {
  return bytes.size() >= png_signature.size() &&
         std::equal(png_signature.begin(), png_signature.end(), bytes.begin());
}

void check_png(const std::string& name, Bytes bytes) {
  int chunks = 0, palettes = 0, colour = -1;
  bool pixels = false;
  for_chunks(name, bytes, [&](std::string_view kind, Bytes body) {
    require((chunks == 0) == (kind == "IHDR"), "{}: corrupt PNG: chunk {} is {}", name, chunks,
            kind == "IHDR" ? "a second header" : "no header");
    ++chunks;
    if (kind == "IHDR") {
      check_header(name, body);
      colour = body[9];
    } else if (kind == "PLTE") {
      require(++palettes == 1 && !pixels, "{}: corrupt PNG: more than one palette, or one too late",
              name);
      require(body.size() % 3 == 0 && !body.empty() && body.size() <= 768,
              "{}: corrupt PNG: a palette of {} bytes", name, body.size());
    } else if (kind == "IDAT") {
      pixels = true;
    }
  });
  require(pixels, "{}: corrupt PNG: there are no pixels in it", name);
  require(colour != indexed || palettes == 1, "{}: corrupt PNG: indexed colours, but no palette",
          name);
}

std::int64_t missing_colours(Bytes bytes) {
  std::int64_t colours = 0, named = 0;
  for_chunks("", bytes, [&](std::string_view kind, Bytes body) {
    if (kind == "IHDR" && body[9] == indexed) named = std::int64_t(1) << body[8];
    if (kind == "PLTE") colours = std::int64_t(body.size()) / 3;
  });
  return std::max<std::int64_t>(0, named - colours);
}

std::string with_full_palette(Bytes bytes, std::uint8_t grey) {
  std::string out(bytes.begin(), bytes.begin() + png_signature.size());
  const auto append = [&](Bytes part) { out.append(part.begin(), part.end()); };
  for_chunks("", bytes, [&](std::string_view kind, Bytes body) {
    const std::uint32_t length = kind == "PLTE" ? 768 : std::uint32_t(body.size());
    for (const int shift : {24, 16, 8, 0}) out.push_back(char(length >> shift & 0xFF));
    out.append(kind);
    append(body);
    out.append(length - body.size(), char(grey));
    out.append(4, '\0');
  });
  return out;
}

}  // namespace ek
