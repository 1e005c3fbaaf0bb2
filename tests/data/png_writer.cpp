#include "tests/data/png_writer.h"

namespace ek::png {
namespace {

std::uint32_t crc_of(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= std::uint8_t(byte);
    for (int k = 0; k < 8; ++k) crc = (crc & 1) ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
  }
  return ~crc;
}

}  // namespace

std::string word(std::uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes += char(value >> shift & 0xFF);
  return bytes;
}

std::string chunk(const std::string& kind, const std::string& body) {
  return word(std::uint32_t(body.size())) + kind + body + word(crc_of(kind + body));
}

std::string header(std::uint32_t width, std::uint32_t height, int bits, int colour,
                   int interlaced) {
  return chunk("IHDR", word(width) + word(height) +
                           std::string{char(bits), char(colour), 0, 0, char(interlaced)});
}

std::string pixels(const std::string& rows) {
  std::uint32_t a = 1, b = 0;
  for (const char byte : rows) {
    a = (a + std::uint8_t(byte)) % 65521;
    b = (b + a) % 65521;
  }
  const unsigned size = unsigned(rows.size());
  const auto low = [](unsigned value) { return char(value & 0xFF); };
  return chunk("IDAT",
               std::string{0x78, 0x01, 1, low(size), low(size >> 8), low(~size), low(~size >> 8)} +
                   rows + word(b << 16 | a));
}

std::string end() {
  return chunk("IEND", "");
}

std::string with_checksums(std::string file) {
  for (std::size_t at = signature.size(); at + 12 <= file.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::uint8_t(file[at + i]);
    if (length > file.size() - at - 12) break;
    file.replace(at + 8 + length, 4, word(crc_of(file.substr(at + 4, length + 4))));
    at += 12 + length;
  }
  return file;
}

}  // namespace ek::png
