#include "tests/data/png_writer.h"

#include "data/images/image_file.h"
#include "tests/data/image_bytes.h"

namespace ek {
namespace {

using Bytes = std::vector<std::uint8_t>;

const std::string two_colours = std::string("\x01\x02\x03\x04\x05\x06", 6);

// 2 x 2 pixels of 8 bits; the last has colour `largest`.
std::string indexed(const std::string& palettes, int largest) {
  return png::signature + png::header(2, 2, 8, 3) + palettes +
         png::pixels(std::string{0, 0, 1, 0, 0, char(largest)}) + png::end();
}

}  // namespace

TEST_CASE("colours of a PNG come from its palette alone", "[png]") {
  const std::string palette = png::chunk("PLTE", two_colours);
  CHECK(decode(indexed(palette, 1)).pixels == Bytes{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
  // Fewer bits a pixel, so that a byte holds several: colours 0, 1, 1 in two bits each.
  CHECK(decode(png::signature + png::header(3, 1, 2, 3) + palette +
               png::pixels(std::string{0, char(0b00010100)}) + png::end())
            .pixels == Bytes{1, 2, 3, 4, 5, 6, 4, 5, 6});
  CHECK(contains(fault(indexed(palette, 2)), "colour 2, a colour that its palette lacks"));
  CHECK(contains(fault(indexed(palette, 255)), "colour 255, a colour that its palette lacks"));
  CHECK(contains(fault(indexed(palette + palette, 1)), "more than one palette"));
  CHECK(contains(fault(indexed("", 0)), "indexed colours, but no palette"));
  CHECK(contains(fault(indexed(png::chunk("PLTE", ""), 0)), "a palette of 0 bytes"));
  CHECK(contains(fault(indexed(png::chunk("PLTE", "abcd"), 0)), "a palette of 4 bytes"));
  CHECK(contains(fault(indexed(png::chunk("PLTE", std::string(771, 'a')), 0)), "of 771 bytes"));
}

TEST_CASE("transparent colours of a palette are those colours", "[png]") {
  const std::string file = indexed(png::chunk("PLTE", two_colours) + png::chunk("tRNS", "\x7F"), 1);
  CHECK(decode(file).pixels == Bytes{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("PNG headers that the format does not allow are refused", "[png]") {
  const auto with = [&](const std::string& header) {
    return fault(png::signature + header + png::pixels(std::string(8, 0)) + png::end());
  };
  CHECK(contains(with(png::header(0, 2, 8, 2)), "got 0 x 2 (width x height)"));
  CHECK(contains(with(png::header(2, 0, 8, 2)), "got 2 x 0 (width x height)"));
  CHECK(contains(with(png::header(100000, 100000, 8, 2)), "got 100000 x 100000"));
  CHECK(contains(with(png::header(2, 2, 8, 7)), "no colour type 7 with 8 bits"));
  CHECK(contains(with(png::header(2, 2, 3, 0)), "no colour type 0 with 3 bits"));
  CHECK(contains(with(png::header(2, 2, 16, 3)), "no colour type 3 with 16 bits"));
  CHECK(contains(with(png::header(2, 2, 8, 2, 2)), "interlacing 2"));
  CHECK(contains(with(png::chunk("IHDR", "short")), "a header of 5 bytes"));
  CHECK(contains(with(png::header(2, 2, 8, 0) + png::header(2, 2, 8, 0)), "a second header"));
  CHECK(contains(with(png::chunk("CgBI", "abcd") + png::header(2, 2, 8, 0)), "no header"));
  CHECK(contains(with(png::header(2, 2, 8, 0) + png::chunk("ABCD", "")), "chunk \"ABCD\""));
}

TEST_CASE("PNG files without their pixels are refused", "[png]") {
  const std::string start = png::signature + png::header(2, 2, 8, 0);
  CHECK(contains(fault(png::signature + png::end()), "chunk 0 is no header"));
  CHECK(contains(fault(start + png::end()), "no pixels"));
  CHECK(contains(fault(start + png::chunk("IDAT", "") + png::end()), "no pixels"));
  CHECK(contains(fault(start + png::pixels(std::string(5, 0)) + png::end()),
                 "its pixels cannot be decoded"));
  CHECK(contains(fault(start + png::chunk("IDAT", "no zlib") + png::end()),
                 "its pixels cannot be decoded"));
  CHECK(decode(start + png::pixels(std::string(6, 0)) + png::end()).pixels == Bytes(12, 0));
}

}  // namespace ek
