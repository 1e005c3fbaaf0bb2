// What lies in class folders besides images: counted, or a fault where a class would vanish.
#include <filesystem>

#include "data/images/files.h"
#include "data/images/folders.h"
#include "data/images/image_file.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

namespace fs = std::filesystem;

void png(const fs::path& file) {
  fs::create_directories(file.parent_path());
  write_png(file, 2, 2, std::vector<std::uint8_t>(12, 5));
}

// Two classes of one image in either part.
void two_classes(const fs::path& folder, const std::string& test = "test") {
  for (const std::string& part : {std::string("train"), test}) {
    png(folder / part / "cat/a.png");
    png(folder / part / "dog/a.png");
  }
}

std::string error(const fs::path& folder) {
  return error_of([&] { load_source(folder.string()); });
}

}  // namespace

TEST_CASE("what is not read in class folders is counted in one line", "[folders]") {
  const TempDir dir;
  two_classes(dir.path());
  CHECK(load_source(dir.path().string()).notes.empty());
  put_file(dir / "train/cat/b.webp", "x");
  put_file(dir / "train/cat/c.WEBP", "x");
  put_file(dir / "test/dog/b.gif", "x");
  put_file(dir / "train/cat/notes.txt", "x");
  put_file(dir / "train/list.txt", "x");
  png(dir / "train/dog/more/b.png");
  fs::create_directories(dir / "train/dog/d.png");
  fs::create_symlink("nowhere", dir / "train/dog/c.png");
  put_file(dir / "train/dog/.hidden", "x");
  const DataSource source = load_source(dir.path().string());
  CHECK(source.train.count() == 2);
  REQUIRE(source.notes.size() == 1);
  CHECK(source.notes[0] ==
        "data " + source.name +
            ": not used: 1 file beside the class folders (train/list.txt), "
            "2 .webp files (train/cat/b.webp ...), 1 other file (train/cat/notes.txt), "
            "1 link that leads nowhere (train/dog/c.png), "
            "1 folder inside a class folder (train/dog/d.png), "
            "1 folder with images inside a class folder (train/dog/more), "
            "1 .gif file (test/dog/b.gif); "
            "what is read are PNG, JPEG and BMP files in train/CLASS and test/CLASS");
}

TEST_CASE("a class that would vanish from a part is a fault", "[folders]") {
  const TempDir dir;
  two_classes(dir.path());
  fs::remove(dir / "test/cat/a.png");
  put_file(dir / "test/cat/a.webp", "x");
  CHECK(contains(error(dir.path()),
                 "test/cat: expected PNG, JPEG or BMP images, found none, but 1 .webp file"));
  fs::remove_all(dir / "test/cat");
  CHECK(contains(error(dir.path()), "test: expected the 2 classes under "));
  CHECK(contains(error(dir.path()), "train, without a folder: cat"));
  png(dir / "test/cat/a.png");
  CHECK(error(dir.path()).empty());
  for (const char* part : {"train", "test"}) {
    fs::create_symlink("nowhere", dir / part / "ant");
    CHECK(contains(error(dir.path()), std::string(part) + "/ant: expected a class folder, got a "
                                                          "link that leads nowhere"));
    fs::remove(dir / part / "ant");
  }
}

TEST_CASE("links to folders and images that are there are followed", "[folders]") {
  const TempDir dir;
  two_classes(dir / "set");
  png(dir / "elsewhere/a.png");
  for (const char* part : {"train", "test"}) {
    fs::create_directory_symlink(dir / "elsewhere", dir / "set" / part / "ant");
  }
  fs::create_symlink(dir / "elsewhere/a.png", dir / "set/train/dog/b.png");
  const DataSource source = load_source((dir / "set").string());
  CHECK(source.class_names == std::vector<std::string>{"ant", "cat", "dog"});
  CHECK(source.train.labels == std::vector<std::int64_t>{0, 1, 2, 2});
  CHECK(source.notes.empty());
}

TEST_CASE("val/ is tested on where there is no test/", "[folders]") {
  const TempDir dir;
  two_classes(dir.path(), "val");
  png(dir / "val/cat/b.png");
  const DataSource source = load_source(dir.path().string());
  CHECK(source.test.count() == 3);
  CHECK(source.notes.empty());
  two_classes(dir.path());
  const DataSource both = load_source(dir.path().string());
  CHECK(both.test.count() == 2);
  REQUIRE(both.notes.size() == 1);
  CHECK(contains(both.notes[0], "1 folder beside test (val)"));
}

TEST_CASE("names of classes are UTF-8, a folder's own name is kept escaped", "[folders]") {
  const TempDir dir;
  two_classes(dir / "caf\xE9");
  CHECK(load_source((dir / "caf\xE9").string()).name == "caf\\xe9");
  png(dir / "caf\xE9/train/\xFF/a.png");
  const std::string message = error(dir / "caf\xE9");
  CHECK(contains(message, "caf\\xe9/train: name of a class folder: expected UTF-8, got \"\\xff\""));
}

TEST_CASE("data of one class alone is told", "[folders]") {
  const TempDir dir;
  png(dir / "train/cat/a.png");
  png(dir / "test/cat/a.png");
  const DataSource source = load_source(dir.path().string());
  REQUIRE(source.notes.size() == 1);
  CHECK(contains(source.notes[0], "all 1 training images are of one class, \"cat\""));
}

}  // namespace ek
