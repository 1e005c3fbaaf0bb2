#include "engine/io/atomic_file.h"

#include <sys/resource.h>
#include <csignal>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

// Stands in for a full disk: while it lives, no file grows past `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // so that write() returns an error instead
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("an atomic file appears whole and replaces the old one") {
  TempDir dir;
  write_file_atomically(dir / "a.json", "one");
  CHECK(file_bytes(dir / "a.json") == "one");
  const std::string binary("two\0\n", 5);
  write_file_atomically(dir / "a.json", binary);
  CHECK(file_bytes(dir / "a.json") == binary);
  CHECK(dir.count() == 1);
}

TEST_CASE("without commit the old file stays and the temporary goes") {
  TempDir dir;
  put_file(dir / "a", "old");
  {
    AtomicFile file(dir / "a");
    file.write("new, but not whole");
    CHECK(file_bytes(dir / "a") == "old");
    CHECK(dir.count() == 2);
  }
  CHECK(file_bytes(dir / "a") == "old");
  CHECK(dir.count() == 1);
}

TEST_CASE("a full disk is an Error that names the file, and leaves what was there") {
  TempDir dir;
  put_file(dir / "a", "old");
  std::string error;
  {
    FileSizeLimit limit(1000);
    error = error_of([&] { write_file_atomically(dir / "a", std::string(100'000, 'x')); });
  }
  CHECK(error == (dir / "a").string() + ": cannot write: File too large");
  CHECK(file_bytes(dir / "a") == "old");
  CHECK(dir.count() == 1);
}

TEST_CASE("folders that are not there, and folders in place of files, are Errors") {
  TempDir dir;
  const auto path = dir.path() / "none" / "a";
  CHECK(error_of([&] { write_file_atomically(path, "x"); }) ==
        path.string() + ": cannot write: No such file or directory");
  CHECK(error_of([&] { write_file_atomically(dir.path(), "x"); }) ==
        dir.path().string() + ": cannot write: Is a directory");
}

TEST_CASE("a device is written directly, a link is followed") {
  if (std::filesystem::exists("/dev/full")) {
    CHECK(contains(error_of([] { write_file_atomically("/dev/full", "x"); }),
                   "/dev/full: cannot write: No space left"));
    CHECK(std::filesystem::is_character_file("/dev/full"));
  }
  write_file_atomically("/dev/null", "x");
  CHECK(std::filesystem::is_character_file("/dev/null"));

  TempDir dir;
  put_file(dir / "target", "old");
  std::filesystem::create_symlink("target", dir / "link");
  write_file_atomically(dir / "link", "new");
  CHECK(std::filesystem::is_symlink(dir / "link"));
  CHECK(file_bytes(dir / "target") == "new");
}

TEST_CASE("read_file reads regular files up to its limit") {
  TempDir dir;
  put_file(dir / "a", "12345");
  CHECK(read_file(dir / "a", 5) == "12345");
  CHECK(error_of([&] { read_file(dir / "a", 4); }) ==
        (dir / "a").string() + ": 5 bytes, expected 4 at most");
  CHECK(contains(error_of([&] { read_file(dir / "b", 4); }), "cannot read: No such file"));
  CHECK(contains(error_of([&] { read_file(dir.path(), 4); }), "not a regular file"));
  CHECK(contains(error_of([] { read_file("/dev/zero", 4); }), "not a regular file"));
}

TEST_CASE("JSON lines grow, and are cut back on resume") {
  TempDir dir;
  const auto path = dir / "metrics.jsonl";
  std::uint64_t at_checkpoint = 0;
  {
    JsonLines lines(path);
    lines.append(R"({"step":1})");
    lines.sync();
    at_checkpoint = lines.size_bytes();
    lines.append(R"({"step":2})");
    CHECK(lines.size_bytes() == std::filesystem::file_size(path));
    CHECK(contains(error_of([&] { lines.append("a\nb"); }), "line break"));
  }
  CHECK(file_bytes(path) == "{\"step\":1}\n{\"step\":2}\n");
  {
    JsonLines lines(path, at_checkpoint);
    CHECK(file_bytes(path) == "{\"step\":1}\n");
    lines.append(R"({"step":3})");
  }
  CHECK(file_bytes(path) == "{\"step\":1}\n{\"step\":3}\n");
  CHECK(error_of([&] { JsonLines(path, 1000); }) ==
        path.string() + ": 22 bytes, expected 1000 at least to resume from");
  CHECK(file_bytes(path).size() == 22);
  JsonLines fresh(path);
  CHECK(file_bytes(path).empty());
}

TEST_CASE("a JSON line that does not fit on the disk leaves no half line") {
  TempDir dir;
  const auto path = dir / "metrics.jsonl";
  JsonLines lines(path);
  lines.append("first");
  std::string error;
  {
    FileSizeLimit limit(100);
    error = error_of([&] { lines.append(std::string(1000, 'x')); });
  }
  CHECK(error == path.string() + ": cannot write: File too large");
  CHECK(file_bytes(path) == "first\n");
  lines.append("second");
  CHECK(file_bytes(path) == "first\nsecond\n");
}
