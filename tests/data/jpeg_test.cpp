#include "data/images/jpeg.h"

#include "engine/io/text.h"
#include "tests/data/image_bytes.h"
#include "tests/data/jpeg_writer.h"

namespace ek {
namespace {

using Colour = JpegCoding::Colour;

struct Known {
  const char* name;
  JpegCoding coding;
  std::uint64_t file, pixels;  // fnv1a
};

// Pixels as PIL gives them, fnv1a of Image.open(FILE).convert("RGB").tobytes() of the files that
// write_jpeg makes (Pillow with libjpeg-turbo 3.2); djpeg of libjpeg-turbo 2.1.5 gives the same.
// The checksum of the file tells an encoder that writes other files from a decoder that reads them
// otherwise.
const Known known[] = {
    {"1x1", {.across = 1, .down = 1}, 0xe9a78d6f3d5c948c, 0x38163a4322d33fdc},
    {"1x1 progressive",
     {.across = 1, .down = 1, .progressive = true},
     0x31c36df6ae504879,
     0x38163a4322d33fdc},
    {"1x1 restarts",
     {.across = 1, .down = 1, .restart_units = 2},
     0x77baca1f6c953f76,
     0x38163a4322d33fdc},
    {"2x1", {.across = 2, .down = 1}, 0x10e151c25ddedde6, 0x504b37d4bdf66080},
    {"2x1 progressive",
     {.across = 2, .down = 1, .progressive = true},
     0x6ebf927ea2f618fe,
     0x504b37d4bdf66080},
    {"2x1 restarts",
     {.across = 2, .down = 1, .restart_units = 2},
     0x43da434df72329bc,
     0x504b37d4bdf66080},
    {"2x2", {.across = 2, .down = 2}, 0x8fc9bdcb6566fb1a, 0xa10bd2db4fb9ed16},
    {"2x2 progressive",
     {.across = 2, .down = 2, .progressive = true},
     0x5005012153c95972,
     0xa10bd2db4fb9ed16},
    {"2x2 restarts",
     {.across = 2, .down = 2, .restart_units = 2},
     0x59fc5c4b02e63364,
     0xa10bd2db4fb9ed16},
    {"1x2", {.across = 1, .down = 2}, 0x05d58dd9caed4b5f, 0x5439d10719be9c8b},
    {"1x2 progressive",
     {.across = 1, .down = 2, .progressive = true},
     0xbb41f8d25467fdd6,
     0x5439d10719be9c8b},
    {"1x2 restarts",
     {.across = 1, .down = 2, .restart_units = 2},
     0x0f33fb6afe6a2152,
     0x5439d10719be9c8b},
    {"4x1", {.across = 4, .down = 1}, 0x6caf7dd4419ff94b, 0xbe7fe4709e56874f},
    {"4x1 progressive",
     {.across = 4, .down = 1, .progressive = true},
     0xf180b35c775c5ea1,
     0xbe7fe4709e56874f},
    {"4x1 restarts",
     {.across = 4, .down = 1, .restart_units = 2},
     0x20f69dbb3d1f6c29,
     0xbe7fe4709e56874f},
    {"1x4", {.across = 1, .down = 4}, 0xd078ebee5c1bf778, 0x3c5ccd3e01491f2b},
    {"1x4 progressive",
     {.across = 1, .down = 4, .progressive = true},
     0x46523ec8fae70626,
     0x3c5ccd3e01491f2b},
    {"1x4 restarts",
     {.across = 1, .down = 4, .restart_units = 2},
     0x9b0f4a50006e271a,
     0x3c5ccd3e01491f2b},
    {"4x2", {.across = 4, .down = 2}, 0xd574faeb204b47ba, 0xeeed399f67dd728a},
    {"4x2 progressive",
     {.across = 4, .down = 2, .progressive = true},
     0xe053791336e9971c,
     0xeeed399f67dd728a},
    {"4x2 restarts",
     {.across = 4, .down = 2, .restart_units = 2},
     0x7a0a984c5e4c436d,
     0xeeed399f67dd728a},
    {"1 x 1", {.width = 1, .height = 1}, 0xd8757f893e692475, 0x90959718d4435900},
    {"1 x 17", {.width = 1, .height = 17}, 0x1c794f739d31b9b1, 0x766d983f1ab57d28},
    {"17 x 1", {.width = 17, .height = 1}, 0x112b74e18722cb53, 0xcfacf1c3d1ea1cd8},
    {"2 x 2", {.width = 2, .height = 2}, 0x9cfc52ba3a0062cc, 0x424c25e3ea6adaca},
    {"3 x 5", {.width = 3, .height = 5}, 0x8a72c68ff5d8c535, 0x76c88a241cd4eafd},
    {"8 x 8", {.width = 8, .height = 8}, 0xabb1497b31ebac09, 0x40166dd839f65010},
    {"16 x 16", {.width = 16, .height = 16}, 0x9b806104b9e3f87b, 0xaac01bb61a9bfa28},
    {"15 x 17", {.width = 15, .height = 17}, 0xcf14a382fbdd6f20, 0xa8e87553468b4d68},
    {"64 x 48", {.width = 64, .height = 48}, 0xb56c839bb071c197, 0x8535a19606acabc6},
    {"2x1 of 3 x 5",
     {.width = 3, .height = 5, .across = 2, .down = 1},
     0x2b40c9c9da57e343,
     0x65235b99f456abbb},
    {"2x1 of 64 x 3",
     {.width = 64, .height = 3, .across = 2, .down = 1},
     0x47f800636461fff9,
     0x261dc02bf80451b8},
    {"quality 20", {.quality = 20}, 0x762d81716939be80, 0xc601e07b952ad230},
    {"quality 100", {.quality = 100}, 0x46c762fa158ed56d, 0xa1a52d294e9ecdac},
    {"optimised codes", {.optimised = true}, 0xa8b790aba6056436, 0xa10bd2db4fb9ed16},
    {"grey",
     {.colour = Colour::grey, .across = 1, .down = 1},
     0x2d5773cd91278ba8,
     0x20fa87173d1af455},
    {"grey progressive",
     {.colour = Colour::grey, .across = 1, .down = 1, .progressive = true},
     0xd8ab9ab0b0901353,
     0x20fa87173d1af455},
    {"rgb",
     {.colour = Colour::rgb, .across = 1, .down = 1},
     0xa4b825a14596d006,
     0x16bfab5ed70ab3de},
    {"cmyk",
     {.colour = Colour::cmyk, .across = 1, .down = 1},
     0x785c65bfe34e2b0e,
     0x6ec5407ad50dd44f},
    {"cmyk without marker",
     {.colour = Colour::cmyk, .across = 1, .down = 1, .adobe_marker = false},
     0x3a77362b497af294,
     0x6ec5407ad50dd44f},
    {"ycck", {.colour = Colour::ycck}, 0xced4a7787f86cb18, 0x44dabd036fd4524c},
    {"ycck progressive",
     {.colour = Colour::ycck, .progressive = true},
     0xfb0d6072d57e179b,
     0x44dabd036fd4524c},
    {"cmyk without marker, restarts",
     {.colour = Colour::cmyk, .across = 1, .down = 1, .restart_units = 1, .adobe_marker = false},
     0x97bcb8ad16b5bf9f,
     0x6ec5407ad50dd44f},
};

std::uint64_t checksum(const Image& image) {
  return fnv1a({reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()});
}

// Position of the segment with this marker.
std::size_t segment(const std::string& file, int marker) {
  const std::size_t at = file.find(std::string{char(0xFF), char(marker)});
  REQUIRE(at != std::string::npos);
  return at;
}

std::string without_segment(std::string file, int marker) {
  const std::size_t at = segment(file, marker);
  file.erase(at, 2 + std::uint8_t(file[at + 2]) * 256u + std::uint8_t(file[at + 3]));
  return file;
}

}  // namespace

TEST_CASE("JPEG pixels are those of libjpeg: samplings, progressive, restarts, odd sizes, inks",
          "[jpeg]") {
  for (const Known& expected : known) {
    const std::string file = write_jpeg(expected.coding);
    CAPTURE(expected.name);
    CHECK(fnv1a(file) == expected.file);
    const Image image = decode(file);
    CHECK(image.width == expected.coding.width);
    CHECK(image.height == expected.coding.height);
    CHECK(checksum(image) == expected.pixels);
  }
}

TEST_CASE("every truncation of a JPEG is refused", "[jpeg]") {
  for (const bool progressive : {false, true}) {
    const std::string whole = write_jpeg({.width = 9, .height = 7, .progressive = progressive});
    for (std::size_t cut = 4; cut < whole.size(); ++cut) {
      CAPTURE(progressive, cut);
      CHECK(contains(fault(whole.substr(0, cut)), " JPEG"));
    }
    CHECK(contains(fault(whole.substr(0, whole.size() - 2)), "truncated JPEG"));
    CHECK(decode(whole + "behind the end").pixels == decode(whole).pixels);
  }
}

TEST_CASE("kinds of JPEG that are not read are refused by name", "[jpeg]") {
  CHECK(contains(fault(write_jpeg({.arithmetic = true})), "arithmetic-coded JPEG"));
  const std::string plain = write_jpeg({});
  const std::size_t frame = segment(plain, 0xC0);
  const auto with = [&](std::size_t at, int value) {
    std::string file = plain;
    file[frame + at] = char(value);
    return fault(file);
  };
  CHECK(contains(with(1, 0xC3), "lossless JPEG"));
  CHECK(contains(with(1, 0xC5), "hierarchical JPEG"));
  CHECK(contains(with(1, 0xCA), "arithmetic-coded JPEG"));
  CHECK(contains(with(4, 12), "12 bits a sample, expected 8"));
  CHECK(contains(with(5, 0x40), "33 x 16415 (width x height)"));
  CHECK(contains(with(7, 0x40), "16417 x 31 (width x height)"));
  std::string flat = plain;
  flat[frame + 5] = flat[frame + 6] = 0;
  CHECK(contains(fault(flat), "JPEG: "));
}

TEST_CASE("a JPEG without its quantisation is refused, not drawn grey", "[jpeg]") {
  const std::string plain = write_jpeg({});
  CHECK(contains(fault(without_segment(plain, 0xDB)), "Quantization table 0x00 was not defined"));
  // Codes that are left out are those of the standard's annex K, as frames of video leave them out.
  std::string codes = plain;
  while (codes.find("\xFF\xC4") != std::string::npos) codes = without_segment(codes, 0xC4);
  CHECK(decode(codes).pixels == decode(plain).pixels);
}

TEST_CASE("damage within a JPEG's pixels is refused, stray bytes between segments are not",
          "[jpeg]") {
  const std::string plain = write_jpeg({.restart_units = 1});
  const std::size_t restart = segment(plain, 0xD1);
  std::string other = plain;
  other[restart + 1] = char(0xD5);
  CHECK(contains(fault(other), "damaged or unsupported JPEG"));
  std::string stray = plain;
  stray.insert(segment(plain, 0xDB), "stray");
  CHECK(decode(stray).pixels == decode(plain).pixels);
}

TEST_CASE("a JPEG of very many scans is refused before it takes its time", "[jpeg]") {
  const std::string file =
      write_jpeg({.colour = Colour::grey, .across = 1, .down = 1, .many_scans = true});
  CHECK(contains(fault(file), " JPEG: more than 100 scans"));
}

}  // namespace ek
