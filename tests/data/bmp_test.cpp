#include "data/images/bmp.h"

#include "tests/data/image_bytes.h"

namespace ek {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::string little(std::uint32_t value, int bytes = 4) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += char(value >> 8 * i & 0xFF);
  return out;
}

// `extra` stands between the header of 40 bytes and the pixels: a palette, or masks.
std::string bmp(int width, int height, int bits, const std::string& rows,
                const std::string& extra = "", int compression = 0, int colours = 0) {
  const std::string start = "BM" + little(0) + little(0) + little(54 + unsigned(extra.size()));
  return start + little(40) + little(unsigned(width)) + little(unsigned(height)) + little(1, 2) +
         little(unsigned(bits), 2) + little(unsigned(compression)) + little(0) + little(0) +
         little(0) + little(unsigned(colours)) + little(0) + extra + rows;
}

std::string masks(unsigned red, unsigned green, unsigned blue) {
  return little(red) + little(green) + little(blue);
}

const std::string three_colours = std::string("\x03\x02\x01\0\x06\x05\x04\0\x09\x08\x07\0", 12);

}  // namespace

TEST_CASE("bitmaps of 24 and 32 bits, from below and from above", "[bmp]") {
  // 1 x 2: a row of three bytes is filled up to four.
  const std::string rows = std::string("\x03\x02\x01\0\x06\x05\x04\0", 8);
  CHECK(decode(bmp(1, 2, 24, rows)).pixels == Bytes{4, 5, 6, 1, 2, 3});
  CHECK(decode(bmp(1, -2, 24, rows)).pixels == Bytes{1, 2, 3, 4, 5, 6});
  CHECK(decode(bmp(1, 2, 32, rows)).pixels == Bytes{4, 5, 6, 1, 2, 3});
  CHECK(decode(bmp(1, 2, 32, rows, masks(0xFF0000, 0xFF00, 0xFF), 3)).pixels ==
        Bytes{4, 5, 6, 1, 2, 3});
  const Image wide = decode(bmp(2, 1, 32, rows));
  CHECK(wide.width == 2);
  CHECK(wide.height == 1);
}

TEST_CASE("bitmaps with a palette", "[bmp]") {
  const Bytes expected{1, 2, 3, 4, 5, 6, 4, 5, 6};
  CHECK(decode(bmp(3, 1, 8, std::string("\0\1\1\0", 4), three_colours)).pixels == expected);
  CHECK(decode(bmp(3, 1, 4, std::string("\x01\x10\0\0", 4), three_colours)).pixels == expected);
  CHECK(decode(bmp(3, 1, 1, std::string("\x60\0\0\0", 4), three_colours)).pixels == expected);
  // OS/2: sides of 16 bits, three bytes a colour.
  const std::string old = "BM" + little(0) + little(0) + little(32) + little(12) + little(2, 2) +
                          little(1, 2) + little(1, 2) + little(8, 2) +
                          std::string("\x03\x02\x01\x06\x05\x04", 6) + std::string("\1\0\0\0", 4);
  CHECK(decode(old).pixels == Bytes{4, 5, 6, 1, 2, 3});
  CHECK(contains(fault(bmp(1, 1, 8, std::string("\3\0\0\0", 4), three_colours)),
                 "colour 3, the palette has 3"));
  CHECK(contains(fault(bmp(1, 1, 8, std::string("\2\0\0\0", 4), three_colours, 0, 2)),
                 "colour 2, the palette has 2"));
}

TEST_CASE("bitmaps of other kinds, and damaged ones, are refused by name", "[bmp]") {
  const std::string rows(64, '\0');
  CHECK(contains(fault(bmp(2, 2, 16, rows)), "BMP with 16 bits a pixel"));
  CHECK(contains(fault(bmp(2, 2, 8, rows, three_colours, 1)), "BMP with compression 1"));
  CHECK(contains(fault(bmp(2, 2, 32, rows, masks(0xFF, 0xFF00, 0xFF0000), 3)), "masks of its own"));
  CHECK(contains(fault(bmp(0, 2, 24, rows)), "got 0 x 2 (width x height)"));
  CHECK(contains(fault(bmp(-2, 2, 24, rows)), "got -2 x 2 (width x height)"));
  CHECK(contains(fault(bmp(100000, 2, 24, rows)), "got 100000 x 2"));
  CHECK(contains(fault(bmp(2, int(0x80000000u), 24, rows)), "(width x height)"));
  CHECK(contains(fault(bmp(8000, 8000, 24, rows)), "truncated BMP"));
  const std::string whole = bmp(3, 2, 4, std::string(8, '\0'), three_colours);
  CHECK(decode(whole).pixels.size() == 18);
  for (std::size_t cut = 2; cut < whole.size(); ++cut) {
    CAPTURE(cut);
    CHECK(contains(fault(whole.substr(0, cut)), "BMP"));
  }
}

}  // namespace ek
