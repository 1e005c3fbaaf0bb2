#include "data/images/cifar.h"

#include <sys/resource.h>
#include <csignal>

#include "data/images/files.h"
#include "engine/io/atomic_file.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

constexpr int plane = 32 * 32;

// One record whose pixel (y, x) of plane c is (label + 3 y + 5 x + 85 c) mod 256.
int pixel_value(int label, int y, int x, int c) {
  return (label + 3 * y + 5 * x + 85 * c) % 256;
}
std::string record(int label, int coarse = -1) {
  std::string bytes;
  if (coarse >= 0) bytes.push_back(char(coarse));
  bytes.push_back(char(label));
  for (int c = 0; c < 3; ++c) {
    for (int p = 0; p < plane; ++p) bytes.push_back(char(pixel_value(label, p / 32, p % 32, c)));
  }
  return bytes;
}

std::string hundred_names() {
  std::string names;
  for (int i = 0; i < 100; ++i) names += fmt::format("fine{}\n", i);
  return names;
}

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("CIFAR-10 layout: several files in order, planes to pixels, names") {
  const TempDir dir;
  put_file(dir / "data_batch_2.bin", record(2));
  put_file(dir / "data_batch_10.bin", record(3));
  put_file(dir / "data_batch_1.bin", record(0) + record(1));
  put_file(dir / "test_batch.bin", record(3));
  put_file(dir / "batches.meta.txt", "a\nb\r\nc\nd\n\n");
  const DataSource source = load_source(dir.path().string());
  CHECK(source.format == DataSource::Format::cifar10);
  CHECK(source.name == dir.path().filename().string());
  CHECK(source.class_names == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(source.train.labels == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(source.test.labels == std::vector<std::int64_t>{3});
  int wrong = 0;
  for (int i = 0; i < 4; ++i) {
    const auto image = source.train.image(i);
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        for (int c = 0; c < 3; ++c) {
          wrong += image[std::size_t((y * 32 + x) * 3 + c)] != pixel_value(i, y, x, c);
        }
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("CIFAR-10 layout without names has ten numbered classes") {
  const TempDir dir;
  put_file(dir / "data_batch_1.bin", record(9));
  put_file(dir / "test_batch.bin", record(0));
  const DataSource source = load_cifar(dir.path());
  CHECK(source.num_classes() == 10);
  CHECK(source.class_names[9] == "9");
  CHECK(count_labels(source.train.labels, 10)[9] == 1);
}

TEST_CASE("CIFAR-100 layout: fine labels, coarse ones kept") {
  const TempDir dir;
  put_file(dir / "train.bin", record(99, 4) + record(7, 19));
  put_file(dir / "test.bin", record(0, 1));
  put_file(dir / "fine_label_names.txt", hundred_names());
  put_file(dir / "coarse_label_names.txt", "x\ny\n");
  const DataSource source = load_source(dir.path().string());
  CHECK(source.format == DataSource::Format::cifar100);
  CHECK(source.num_classes() == 100);
  CHECK(source.train.labels == std::vector<std::int64_t>{99, 7});
  CHECK(source.train.coarse == std::vector<std::uint8_t>{4, 19});
  CHECK(source.class_names[99] == "fine99");
  CHECK(source.train.image(1)[1] == pixel_value(7, 0, 0, 1));
}

TEST_CASE("what is written in a CIFAR layout is what was read, byte for byte") {
  const TempDir dir;
  put_file(dir / "in/train.bin", record(99, 4) + record(7, 19));
  put_file(dir / "in/test.bin", record(0, 1));
  put_file(dir / "in/fine_label_names.txt", hundred_names());
  put_file(dir / "in/coarse_label_names.txt", "x\ny\n");
  std::filesystem::create_directories(dir / "out");
  save_cifar(load_cifar(dir / "in"), dir / "out");
  for (const char* file :
       {"train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"}) {
    CAPTURE(file);
    CHECK(read_file(dir / "in" / file, 1 << 20) == read_file(dir / "out" / file, 1 << 20));
  }
  CHECK(files_in(dir / "out").size() == 4);

  put_file(dir / "ten/data_batch_1.bin", record(1) + record(0));
  put_file(dir / "ten/test_batch.bin", record(1));
  put_file(dir / "ten/batches.meta.txt", "a\nb\n");
  std::filesystem::create_directories(dir / "out10");
  save_cifar(load_cifar(dir / "ten"), dir / "out10");
  for (const char* file : {"data_batch_1.bin", "test_batch.bin", "batches.meta.txt"}) {
    CAPTURE(file);
    CHECK(read_file(dir / "ten" / file, 1 << 20) == read_file(dir / "out10" / file, 1 << 20));
  }
}

TEST_CASE("damaged CIFAR folders are refused by file, and by record") {
  const TempDir dir;
  const auto error = [&] { return error_of([&] { load_source(dir.path().string()); }); };
  put_file(dir / "data_batch_1.bin", record(1));
  CHECK(contains(error(), "test_batch.bin: expected this file"));
  put_file(dir / "test_batch.bin", "");
  CHECK(contains(error(), "test_batch.bin: expected records of 3073 bytes"));
  CHECK(contains(error(), "empty"));
  put_file(dir / "test_batch.bin", record(1).substr(1));
  CHECK(contains(error(), "test_batch.bin: expected a multiple of the record size 3073"));
  CHECK(contains(error(), "got 3072 bytes"));
  put_file(dir / "test_batch.bin", record(1) + record(10));
  CHECK(contains(error(), "test_batch.bin: record 1: expected a label below 10, got 10"));
  put_file(dir / "batches.meta.txt", "only\n");
  CHECK(contains(error(), "data_batch_1.bin: record 0: expected a label below 1, got 1"));
  put_file(dir / "batches.meta.txt", "");
  CHECK(contains(error(), "batches.meta.txt: expected 1 to 256 names, got 0"));
  put_file(dir / "batches.meta.txt", "a\n\nb\n");
  CHECK(contains(error(), "line 2 is empty"));
  std::filesystem::remove(dir / "data_batch_1.bin");
  CHECK(contains(error(), "expected data_batch_*.bin"));
}

TEST_CASE("damaged CIFAR-100 folders") {
  const TempDir dir;
  const auto error = [&] { return error_of([&] { load_source(dir.path().string()); }); };
  put_file(dir / "test.bin", record(0, 1));
  CHECK(contains(error(), "train.bin: expected this file (cifar100 layout)"));
  put_file(dir / "train.bin", record(100, 1));
  CHECK(contains(error(), "train.bin: record 0: expected a label below 100, got 100"));
  put_file(dir / "train.bin", record(5));  // a CIFAR-10 record
  CHECK(contains(error(), "train.bin: expected a multiple of the record size 3074"));
  put_file(dir / "train.bin", record(5, 1));
  put_file(dir / "fine_label_names.txt", "a\nb\n");
  CHECK(contains(error(), "fine_label_names.txt: expected 100 names, got 2"));
  std::filesystem::remove(dir / "train.bin");
  std::filesystem::create_directories(dir / "train.bin");
  CHECK(contains(error(), "train.bin: expected this file"));
}

TEST_CASE("files of class names may begin with a byte order mark and must be UTF-8") {
  const TempDir dir;
  put_file(dir / "data_batch_1.bin", record(0) + record(1));
  put_file(dir / "test_batch.bin", record(1));
  put_file(dir / "batches.meta.txt",
           "\xEF\xBB\xBF"
           "caf\xC3\xA9\nb\n");
  const DataSource source = load_source(dir.path().string());
  CHECK(source.class_names == std::vector<std::string>{"caf\xC3\xA9", "b"});
  CHECK(source.notes.empty());
  put_file(dir / "batches.meta.txt", "a\ncaf\xE9\n");
  CHECK(contains(error_of([&] { load_source(dir.path().string()); }),
                 "batches.meta.txt: line 2: expected UTF-8, got \"caf\\xe9\" (byte 4 is 0xe9)"));
}

TEST_CASE("a CIFAR folder whose images are all of one class says so") {
  const TempDir dir;
  put_file(dir / "data_batch_1.bin", record(7) + record(7));
  put_file(dir / "test_batch.bin", record(7));
  const DataSource source = load_source(dir.path().string());
  REQUIRE(source.notes.size() == 1);
  CHECK(contains(source.notes[0], "all 2 training images are of one class, \"7\""));
}

TEST_CASE("places that hold no data set are told what would be one") {
  const TempDir dir;
  CHECK(contains(error_of([&] { load_source((dir / "nothing").string()); }), "no such folder"));
  CHECK(contains(error_of([&] { load_source(dir.path().string()); }), "synthetic:NAME"));
  CHECK(contains(error_of([&] { load_source("synthetic:cats"); }), "shapes"));
}

TEST_CASE("images that do not fit a CIFAR layout are not written") {
  const TempDir dir;
  ImageSet set;
  set.height = set.width = 32;
  set.pixels.assign(3 * plane, 0);
  set.labels = {256};
  const auto write = [&](DataSource::Format format) {
    return error_of([&] { save_cifar_records(set, format, dir / "x.bin"); });
  };
  CHECK(contains(write(DataSource::Format::cifar10), "label below 256, got 256"));
  set.labels = {100};
  CHECK(contains(write(DataSource::Format::cifar100), "label below 100, got 100"));
  set.height = 16;
  CHECK(contains(write(DataSource::Format::cifar10), "expected images of 32 x 32, got 32 x 16"));
  CHECK(files_in(dir.path()).empty());
}

TEST_CASE("a folder is written whole or not at all") {
  const TempDir dir;
  const auto fill = [](const std::filesystem::path& folder) {
    write_file_atomically(folder / "a", "text");
  };
  write_folder(dir / "new/inner", fill);
  CHECK(read_file(dir / "new/inner/a", 10) == "text");
  std::filesystem::create_directories(dir / "empty");
  write_folder(dir / "empty/", fill);
  CHECK(read_file(dir / "empty/a", 10) == "text");

  CHECK(contains(error_of([&] { write_folder(dir / "new", fill); }), "it has contents"));
  put_file(dir / "file", "x");
  CHECK(contains(error_of([&] { write_folder(dir / "file", fill); }), "a file of that name"));
  CHECK(contains(error_of([&] { write_folder(dir / "file/inner", fill); }), "cannot be created"));
  const auto failing = [&](const std::filesystem::path& folder) {
    fill(folder);
    fail("midway");
  };
  CHECK(error_of([&] { write_folder(dir / "gone/inner", failing); }) == "midway");
  CHECK(files_in(dir.path()) == std::vector<std::string>{"empty", "file", "new"});
}

TEST_CASE("a disk that is full leaves nothing behind") {
  // A limit on the file size makes a write fail midway, as a full disk does.
  const TempDir dir;
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message = error_of([&] {
    write_folder(dir / "out", [](const std::filesystem::path& folder) {
      ImageSet set;
      set.height = set.width = 32;
      set.pixels.assign(2 * 3 * plane, 0);
      set.labels = {0, 1};
      save_cifar_records(set, DataSource::Format::cifar10, folder / "data_batch_1.bin");
    });
  });
  const std::string small_file = error_of([&] {
    write_folder(dir / "out", [](const std::filesystem::path& folder) {
      write_file_in_new_folder(folder / "a.png", std::string(5000, 'x'));
    });
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(contains(message, "data_batch_1.bin"));
  CHECK(contains(small_file, "a.png: cannot write 5000 bytes"));
  CHECK(files_in(dir.path()).empty());
}

}  // namespace ek
