#include "data/images/png_check.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "data/images/image_file.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using Bytes = std::span<const std::uint8_t>;
constexpr std::array<std::uint8_t, 8> signature{0x89, 'P', 'N', 'G', 13, 10, 26, 10};
constexpr int indexed = 3;  // colour type

// CRC-32 of the PNG specification, by a table of 256.
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

struct Chunk {
  std::string_view kind;
  Bytes body;
};

// The chunks up to IEND.
std::vector<Chunk> chunks_of(const std::string& name, Bytes bytes) {
  std::vector<Chunk> chunks;
  for (std::size_t at = signature.size();;) {
    require(at + 12 <= bytes.size(), "{}: truncated PNG: the file ends without an IEND chunk",
            name);
    const std::uint64_t length = big_endian(bytes.subspan(at));
    require(at + 12 + length <= bytes.size(),
            "{}: truncated PNG: expected a chunk of {} bytes at {}, the file has {}", name, length,
            at, bytes.size());
    const Bytes checked = bytes.subspan(at + 4, std::size_t(length) + 4);
    require(crc32(checked) == big_endian(bytes.subspan(at + 8 + std::size_t(length))),
            "{}: corrupt PNG: the checksum of the chunk at byte {} does not match", name, at);
    chunks.push_back({{reinterpret_cast<const char*>(checked.data()), 4}, checked.subspan(4)});
    if (chunks.back().kind == "IEND") return chunks;
    at += 12 + std::size_t(length);
  }
}

bool is_allowed(int colour, int bits) {
  const bool small = bits == 1 || bits == 2 || bits == 4, whole = bits == 8, twice = bits == 16;
  if (colour == 0) return small || whole || twice;
  if (colour == indexed) return small || whole;
  return (colour == 2 || colour == 4 || colour == 6) && (whole || twice);
}

void check_header(const std::string& name, Bytes body) {
  require(body.size() == 13, "{}: corrupt PNG: a header of {} bytes, expected 13", name,
          body.size());
  require_image_size(name, big_endian(body), big_endian(body.subspan(4)));
  require(is_allowed(body[9], body[8]), "{}: corrupt PNG: there is no colour type {} with {} bits",
          name, body[9], body[8]);
  require(body[10] == 0 && body[11] == 0 && body[12] <= 1,
          "{}: corrupt PNG: compression {}, filter {}, interlacing {} are not of the format", name,
          body[10], body[11], body[12]);
}

}  // namespace

bool is_png(Bytes bytes) {
  return bytes.size() >= signature.size() &&
         std::equal(signature.begin(), signature.end(), bytes.begin());
}

Palette check_png(const std::string& name, Bytes bytes) {
  const std::vector<Chunk> chunks = chunks_of(name, bytes);
  require(chunks.front().kind == "IHDR", "{}: corrupt PNG: chunk 0 is no header but \"{}\"", name,
          escaped_bytes(chunks.front().kind));
  check_header(name, chunks.front().body);
  const int colour = chunks.front().body[9];
  Palette palette;
  bool pixels = false;
  for (std::size_t i = 1; i < chunks.size(); ++i) {
    const auto& [kind, body] = chunks[i];
    require(kind != "IHDR", "{}: corrupt PNG: a second header", name);
    if (kind == "PLTE") {
      require(palette.empty() && !pixels,
              "{}: corrupt PNG: more than one palette, or one after the pixels", name);
      require(!body.empty() && body.size() % 3 == 0 && body.size() <= 768,
              "{}: corrupt PNG: a palette of {} bytes, expected 1 to 256 colours of 3", name,
              body.size());
      palette.assign(body.begin(), body.end());
    } else if (kind == "IDAT") {
      pixels = pixels || !body.empty();
    } else {
      // A capital letter marks what a reader must know.
      require(kind == "IEND" || (kind[0] & 0x20) != 0,
              "{}: PNG with a chunk \"{}\", which is not known here", name, escaped_bytes(kind));
    }
  }
  require(pixels, "{}: corrupt PNG: there are no pixels in it", name);
  if (colour != indexed) return {};
  require(!palette.empty(), "{}: corrupt PNG: indexed colours, but no palette", name);
  return palette;
}

std::string with_indices_as_colours(Bytes bytes) {
  std::string out(signature.begin(), signature.end());
  const auto append = [&](std::string_view kind, std::string_view body) {
    for (const int shift : {24, 16, 8, 0}) out += char(body.size() >> shift & 0xFF);
    out.append(kind).append(body).append(4, '\0');
  };
  std::string colours(768, '\0');
  for (std::size_t i = 0; i < 256; ++i) colours[3 * i] = char(i);
  for (const auto& [kind, body] : chunks_of("", bytes)) {
    const std::string_view text(reinterpret_cast<const char*>(body.data()), body.size());
    if (kind == "IHDR" || kind == "IDAT" || kind == "IEND") append(kind, text);
    if (kind == "IHDR") append("PLTE", colours);
  }
  return out;
}

}  // namespace ek
