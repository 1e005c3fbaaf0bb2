// Image files that are wrong in a way of their own: each refused in one line that names file and
// fault, and the same every time.
#include <cstdint>
#include <string>
#include <vector>

#include "data/images/image_file.h"
#include "engine/tensor/random.h"
#include "tests/catch.h"
#include "tests/error_of.h"

namespace ek {
namespace {

std::string word(std::uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(char(value >> shift & 0xFF));
  return bytes;
}

std::uint32_t crc_of(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= std::uint8_t(byte);
    for (int k = 0; k < 8; ++k) crc = (crc & 1) ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
  }
  return ~crc;
}

std::string chunk(const std::string& kind, const std::string& body) {
  return word(std::uint32_t(body.size())) + kind + body + word(crc_of(kind + body));
}

std::string header(std::uint32_t width, std::uint32_t height, int depth, int colour) {
  return chunk("IHDR",
               word(width) + word(height) + std::string{char(depth), char(colour), 0, 0, 0});
}

// Stored, not compressed.
std::string pixels(const std::string& rows) {
  std::uint32_t a = 1, b = 0;
  for (const char byte : rows) {
    a = (a + std::uint8_t(byte)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = std::uint16_t(rows.size());
  std::string body{0x78,
                   0x01,
                   1,
                   char(size & 0xFF),
                   char(size >> 8),
                   char(~size & 0xFF),
                   char(std::uint16_t(~size) >> 8)};
  return chunk("IDAT", body + rows + word(b << 16 | a));
}

const std::string signature = "\x89PNG\r\n\x1a\n", end = chunk("IEND", "");

// 2 x 2 indices of 8 bits.
std::string indexed(const std::string& palettes, char largest) {
  return signature + header(2, 2, 8, 3) + palettes + pixels(std::string{0, 0, 1, 0, 0, largest}) +
         end;
}

Image decode(const std::string& bytes) {
  return decode_image("x", {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

std::string fault(const std::string& bytes) {
  const std::string message = error_of([&] { decode(bytes); });
  CHECK(message.starts_with("x: "));
  CHECK_FALSE(contains(message, "\n"));
  return message;
}

const std::string two_colours = std::string("\x01\x02\x03\x04\x05\x06", 6);

}  // namespace

TEST_CASE("a palette is read once, and whole", "[hostile-images]") {
  const Image image = decode(indexed(chunk("PLTE", two_colours), 1));
  CHECK(image.pixels == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
  CHECK(contains(fault(indexed(chunk("PLTE", two_colours), 2)), "a colour that its palette lacks"));
  CHECK(contains(fault(indexed(chunk("PLTE", two_colours) + chunk("PLTE", two_colours), 1)),
                 "more than one palette"));
  CHECK(contains(fault(indexed("", 0)), "indexed colours, but no palette"));
  CHECK(contains(fault(indexed(chunk("PLTE", "abcd"), 0)), "a palette of 4 bytes"));
}

TEST_CASE("headers that no format allows are refused", "[hostile-images]") {
  const auto with = [&](const std::string& head) {
    return fault(signature + head + pixels(std::string(8, 0)) + end);
  };
  CHECK(contains(with(header(0, 2, 8, 2)), "got 0 x 2"));
  CHECK(contains(with(header(100000, 100000, 8, 2)), "got 100000 x 100000"));
  CHECK(contains(with(header(2, 2, 8, 7)), "colour type 7 with 8 bits"));
  CHECK(contains(with(header(2, 2, 3, 0)), "colour type 0 with 3 bits"));
  CHECK(contains(fault(signature + end), "chunk 0 is no header"));
  CHECK(contains(fault(signature + header(2, 2, 8, 2) + end), "no pixels"));
}

TEST_CASE("JPEG files of kinds that are not read say so", "[hostile-images]") {
  // The frame's marker alone decides: arithmetic coding, lossless.
  const std::string quantisation = std::string("\xFF\xDB\x00\x43\x00", 5) + std::string(64, 1);
  const auto frame = [&](char marker, char bits) {
    return std::string("\xFF\xD8", 2) + quantisation + "\xFF" + marker +
           std::string("\x00\x0B", 2) + bits + std::string("\x00\x08\x00\x08\x01\x01\x11\x00", 8) +
           std::string("\xFF\xD9", 2);
  };
  for (const char marker : {char(0xC3), char(0xCB)}) {
    CHECK(contains(fault(frame(marker, 8)), "cannot be decoded: "));
  }
  CHECK(contains(fault(frame(char(0xC1), 12)), "cannot be decoded: "));
}

TEST_CASE("whatever is wrong with an image, it is an error or the same picture",
          "[hostile-images]") {
  const std::vector<std::string> seeds{
      indexed(chunk("PLTE", two_colours), 1),
      encode_png(4, 4, std::vector<std::uint8_t>(48, 77)),
  };
  const RandomStream random(3, Purpose::test);
  std::uint64_t drawn = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = seeds[std::size_t(i) % seeds.size()];
    for (int k = 0; k <= i % 3; ++k) {
      const auto at = std::size_t(random.below(drawn++, bytes.size()));
      bytes[at] = char(random.below(drawn++, 256));
    }
    const auto outcome = [&] {
      try {
        const Image image = decode(bytes);
        return std::string(image.pixels.begin(), image.pixels.end());
      } catch (const Error& error) {
        return std::string(error.what());
      }
    };
    REQUIRE(outcome() == outcome());
  }
}

}  // namespace ek
