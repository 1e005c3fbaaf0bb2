#include "data/images/folders.h"

#include "data/images/image_file.h"
#include "data/images/synthetic.h"
#include "engine/io/atomic_file.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

using Bytes = std::vector<std::uint8_t>;

void png(const std::filesystem::path& file, std::int64_t height, std::int64_t width, int value) {
  std::filesystem::create_directories(file.parent_path());
  Bytes pixels(std::size_t(height * width * 3));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = std::uint8_t(value + int(i));
  write_png(file, height, width, pixels);
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(char(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// A grey 8 x 8 JPEG with one code in either table: DC difference 200 (coded in 8 bits), end of
// block. With a quantiser of 1 every pixel is 128 + 200 / 8 = 153.
std::string jpeg() {
  const std::string ones(64, '\1'), zeros(15, '\0');
  return from_hex("ffd8ffdb004300") + ones + from_hex("ffc0000b080008000801011100") +
         from_hex("ffc400140001") + zeros + from_hex("08ffc400141001") + zeros + from_hex("00") +
         from_hex("ffda0008010100003f00") + from_hex("643f") + from_hex("ffd9");
}

// PNG files of an encoder other than ours: grey [[7, 200]], grey with alpha [[9]].
std::string grey_png() {
  return from_hex(
      "89504e470d0a1a0a0000000d4948445200000002000000010800000000d14920560000000b49444154789c63603f"
      "01"
      "0000d900d0d7a6223c0000000049454e44ae426082");
}
std::string grey_alpha_png() {
  return from_hex(
      "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b49444154789c63e06c"
      "00"
      "000095008aafc24b270000000049454e44ae426082");
}
// Valid to the last checksum, and 60000 x 60000 pixels by its header.
std::string huge_png() {
  return from_hex(
      "89504e470d0a1a0a0000000d494844520000ea600000ea6008020000000fb0e2150000000949444154789c630000"
      "00"
      "0100015eff7df90000000049454e44ae426082");
}

}  // namespace

TEST_CASE("class folders are read in alphabetical order") {
  const TempDir dir;
  png(dir / "train/dog/b.png", 2, 3, 20);
  png(dir / "train/dog/a.PNG", 2, 3, 10);
  png(dir / "train/cat/z.png", 2, 3, 30);
  png(dir / "test/dog/q.png", 2, 3, 40);
  png(dir / "test/cat/q.png", 2, 3, 60);
  put_file(dir / "train/dog/notes.txt", "no image");
  put_file(dir / "train/.hidden/x.txt", "no class");
  put_file(dir / "train/list.txt", "no class");
  const DataSource source = load_source(dir.path().string());
  CHECK(source.format == DataSource::Format::folders);
  CHECK(source.class_names == std::vector<std::string>{"cat", "dog"});
  CHECK(source.train.labels == std::vector<std::int64_t>{0, 1, 1});
  CHECK(source.test.labels == std::vector<std::int64_t>{0, 1});
  CHECK(source.train.height == 2);
  CHECK(source.train.width == 3);
  CHECK(source.train.image(0)[0] == 30);
  CHECK(source.train.image(1)[17] == 27);
  CHECK(source.train.image(2)[0] == 20);
  CHECK(source.test.image(1)[1] == 41);
}

TEST_CASE("grey images, with and without alpha, become RGB") {
  const TempDir dir;
  put_file(dir / "grey.png", grey_png());
  const Image image = read_image(dir / "grey.png");
  CHECK(image.height == 1);
  CHECK(image.width == 2);
  CHECK(image.pixels == Bytes{7, 7, 7, 200, 200, 200});
  put_file(dir / "grey_alpha.png", grey_alpha_png());
  CHECK(read_image(dir / "grey_alpha.png").pixels == Bytes{9, 9, 9});
}

TEST_CASE("JPEG files are read; truncated ones are not filled up") {
  const TempDir dir;
  const std::string whole = jpeg();
  put_file(dir / "a.jpg", whole);
  const Image image = read_image(dir / "a.jpg");
  CHECK(image.height == 8);
  CHECK(image.width == 8);
  CHECK(image.pixels == Bytes(8 * 8 * 3, 153));
  for (const std::size_t cut : {whole.size() - 2, whole.size() / 2, std::size_t(20)}) {
    put_file(dir / "cut.jpg", whole.substr(0, cut));
    const std::string message = error_of([&] { read_image(dir / "cut.jpg"); });
    CAPTURE(cut, message);
    CHECK(contains(message, "cut.jpg: truncated JPEG"));
  }
}

TEST_CASE("every truncation and every flipped byte of a PNG is noticed") {
  const TempDir dir;
  png(dir / "whole.png", 4, 5, 50);
  const std::string whole = read_file(dir / "whole.png", 1 << 20);
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    put_file(dir / "cut.png", whole.substr(0, cut));
    const std::string message = error_of([&] { read_image(dir / "cut.png"); });
    CAPTURE(cut, message);
    CHECK(contains(message, "cut.png: "));
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ 0x10);
    put_file(dir / "bad.png", damaged);
    const std::string message = error_of([&] { read_image(dir / "bad.png"); });
    CAPTURE(at, message);
    CHECK(contains(message, "bad.png: "));
  }
}

TEST_CASE("a header that claims a huge picture is refused before it costs memory") {
  const TempDir dir;
  put_file(dir / "huge.png", huge_png());
  CHECK(contains(error_of([&] { read_image(dir / "huge.png"); }), "huge.png: "));
}

TEST_CASE("class folders that do not fit together are refused by name") {
  const TempDir dir;
  const auto error = [&] { return error_of([&] { load_source(dir.path().string()); }); };
  png(dir / "train/cat/a.png", 4, 4, 0);
  CHECK(contains(error(), "test: expected a folder of class folders"));
  std::filesystem::create_directories(dir / "test");
  CHECK(contains(error(), "test: expected the 1 classes under "));
  png(dir / "test/cat/a.png", 4, 5, 0);
  CHECK(contains(error(), "test/cat/a.png: "));
  CHECK(contains(error(), "5 x 4 pixels (width x height), expected the size of "));
  CHECK(contains(error(), "train/cat/a.png, 4 x 4; all images need one size: scale them"));
  png(dir / "test/cat/a.png", 4, 4, 0);
  CHECK(error().empty());
  png(dir / "test/cow/a.png", 4, 4, 0);
  CHECK(contains(error(), "train: expected the 2 classes under "));
  CHECK(contains(error(), "test, without a folder: cow"));
  std::filesystem::remove_all(dir / "test/cow");
  std::filesystem::create_directories(dir / "train/dog");
  CHECK(contains(error(), "test: expected the 2 classes under "));
  CHECK(contains(error(), "train, without a folder: dog"));
  png(dir / "test/dog/a.png", 4, 4, 0);
  CHECK(contains(error(), "train/dog: expected PNG, JPEG or BMP images, found none"));
  put_file(dir / "train/dog/a.png", "<html>");
  CHECK(contains(error(), "dog/a.png: expected a PNG, JPEG or BMP image"));
  put_file(dir / "train/dog/a.png", "");
  CHECK(contains(error(), "dog/a.png: expected a PNG, JPEG or BMP image"));
}

TEST_CASE("what is written as class folders is what was there") {
  const TempDir dir;
  const DataSource made = make_synthetic("shapes", 4, {.train_per_class = 2, .test_per_class = 1});
  save_folders(made, dir.path());
  const DataSource read = load_folders(dir.path());
  CHECK(read.train.count() == 20);
  CHECK(read.test.count() == 10);
  // Alphabetical order, so the labels are others; the pictures of a class keep their order.
  for (std::int64_t i = 0; i < 20; ++i) {
    const auto name = made.class_names[std::size_t(i % 10)];
    const auto place = std::find(read.class_names.begin(), read.class_names.end(), name);
    const auto drawn = made.train.image(i);
    const auto decoded = read.train.image((place - read.class_names.begin()) * 2 + i / 10);
    CAPTURE(name, i);
    CHECK(std::equal(drawn.begin(), drawn.end(), decoded.begin(), decoded.end()));
  }
  CHECK(contains(error_of([&] { save_class_folders(made.train, {"../up"}, dir / "x"); }),
                 "cannot be a folder name"));
}

}  // namespace ek
