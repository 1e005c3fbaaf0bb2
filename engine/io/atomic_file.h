#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine/io/temporaries.h"

namespace ek {

// A file that appears whole or not at all: written to PATH.tmp beside it, synchronised to the disk
// and renamed by commit(). Without a commit (an exception, say) the temporary is removed and what
// stood at PATH stays. Every write is checked; an Error names the file and the system's reason.
//
// A symbolic link is followed. A device or a pipe (/dev/stdout) cannot be renamed over and is
// written directly.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  void commit();

 private:
  std::filesystem::path path_, temporary_;  // the same where it is written directly
  TemporaryName known_;                     // where a signal ends the process before commit()
  int descriptor_ = -1;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

// The bytes of a regular file. Error if it is missing, not a regular file or above `limit_bytes`.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit_bytes);

// A file of one JSON object a line that only grows (metrics.jsonl). A line is there whole or not at
// all, also when the disk is full.
class JsonLines {
 public:
  // Opens or creates the file and cuts it to its first `keep_bytes`: 0 starts anew, the offset that
  // a checkpoint has stored goes back to that moment. Error if the file is shorter.
  explicit JsonLines(std::filesystem::path path, std::uint64_t keep_bytes = 0);
  ~JsonLines();
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  // `line` without its newline, and with none inside.
  void append(std::string_view line);
  // To the disk, so that a checkpoint never speaks of lines that a crash can take away.
  void sync();
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace ek
