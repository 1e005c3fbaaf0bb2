// Image files with damage that keeps their structure: whatever it is, the outcome is a picture of
// the size that it says or an Error, and the same both times. The first is what memory that nobody
// has written spoils, and what valgrind looks for: valgrind test-data "[hostile images]".
#include <set>

#include "engine/tensor/random.h"
#include "tests/data/image_bytes.h"
#include "tests/data/jpeg_writer.h"
#include "tests/data/png_writer.h"

namespace ek {
namespace {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : stream_(seed, Purpose::test) {}
  std::size_t below(std::size_t bound) { return std::size_t(stream_.below(drawn_++, bound)); }

 private:
  RandomStream stream_;
  std::uint64_t drawn_ = 0;
};

// A byte set, a bit turned, a piece cut out, doubled or moved.
std::string mutated(std::string bytes, std::size_t from, Dice& dice) {
  const auto place = [&] { return from + dice.below(bytes.size() - from); };
  switch (dice.below(6)) {
    case 0:
      bytes[place()] = char(dice.below(256));
      break;
    case 1:
      bytes[place()] ^= char(1 << dice.below(8));
      break;
    case 2:
      bytes[place()] = dice.below(2) ? '\0' : '\xFF';
      break;
    case 3:
      bytes.erase(place(), 1 + dice.below(8));
      break;
    case 4:
      bytes.insert(place(), bytes.substr(place(), 1 + dice.below(40)));
      break;
    default:
      bytes.resize(place() + 1);
  }
  return bytes;
}

std::string outcome(const std::string& bytes) {
  try {
    const Image image = decode(bytes);
    REQUIRE(image.width >= 1);
    REQUIRE(image.height >= 1);
    REQUIRE(image.pixels.size() == std::size_t(image.width * image.height * 3));
    return "picture " + std::string(image.pixels.begin(), image.pixels.end());
  } catch (const Error& error) {
    return error.what();
  }
}

// Of `count` mutations of each seed, how many are pictures still; all outcomes must repeat.
void mutate(const std::vector<std::string>& seeds, int count, std::uint64_t seed, bool checksums) {
  Dice dice(seed);
  int pictures = 0;
  std::set<std::string> refusals;
  for (const std::string& original : seeds) {
    REQUIRE(outcome(original).starts_with("picture "));
    for (int i = 0; i < count; ++i) {
      std::string bytes = original;
      for (std::size_t k = 0; k <= dice.below(3); ++k) {
        bytes = mutated(bytes, std::min<std::size_t>(8, bytes.size() - 1), dice);
      }
      if (checksums) bytes = png::with_checksums(bytes);
      const std::string first = outcome(bytes);
      REQUIRE(first == outcome(bytes));
      first.starts_with("picture ") ? void(++pictures) : void(refusals.insert(first));
    }
  }
  // Otherwise the damage is of a kind that the first check stops, and tests little.
  CHECK(pictures > count / 10);
  CHECK(refusals.size() > 10);
}

std::string indexed(int bits, int colours, int interlaced) {
  const std::size_t row = std::size_t(1 + (8 * bits + 7) / 8);
  std::string palette, rows;
  for (int i = 0; i < 3 * colours; ++i) palette += char(7 * i);
  for (int y = 0; y < 8; ++y) rows += std::string(row, '\0');
  // An interlaced 8 x 8 picture has 15 rows in its seven passes.
  if (interlaced != 0) rows += std::string(64, '\0');
  return png::signature + png::header(8, 8, bits, 3, interlaced) + png::chunk("PLTE", palette) +
         png::pixels(rows) + png::end();
}

}  // namespace

TEST_CASE("PNG files with damage behind right checksums", "[hostile images]") {
  std::string noise;
  for (int y = 0; y < 6; ++y) {
    noise += char(y % 5);  // each filter
    for (int x = 0; x < 4 * 4; ++x) noise += char(31 * x + 77 * y);
  }
  const std::vector<std::uint8_t> plain(6 * 5 * 3, 99);
  mutate({indexed(8, 40, 0), indexed(4, 9, 0), indexed(1, 2, 1),
          png::signature + png::header(4, 6, 8, 6) + png::pixels(noise) + png::end(),
          png::signature + png::header(8, 6, 16, 0) + png::pixels(noise) + png::end(),
          encode_png(6, 5, plain)},
         60, 11, true);
}

TEST_CASE("PNG files with damage as it comes", "[hostile images]") {
  const std::string small = indexed(8, 40, 0);
  // Without right checksums nothing may be accepted but damage behind the end.
  Dice dice(12);
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = mutated(small, 8, dice);
    const std::string first = outcome(bytes);
    REQUIRE(first == outcome(bytes));
    REQUIRE((bytes == small || !first.starts_with("picture ")));
  }
}

TEST_CASE("JPEG files with damage", "[hostile images]") {
  const int width = 19, height = 13;
  mutate({write_jpeg({.width = width, .height = height}),
          write_jpeg({.width = width, .height = height, .across = 1, .down = 1}),
          write_jpeg({.width = width, .height = height, .progressive = true}),
          write_jpeg({.width = width, .height = height, .restart_units = 1}),
          write_jpeg({.colour = JpegCoding::Colour::ycck, .width = width, .height = height}),
          write_jpeg({.colour = JpegCoding::Colour::grey,
                      .width = width,
                      .height = height,
                      .across = 1,
                      .down = 1})},
         80, 13, false);
}

}  // namespace ek
