#pragma once
#include <filesystem>
#include <string>

#include "engine/io/temporaries.h"

namespace ek {

// A folder that one process writes to: a lock of the system (flock) on FOLDER/run.lock, whose text
// names the process and its host. The lock goes when the process ends, however it ends; the file
// is removed by unlock and means nothing by itself. On NFS it holds between hosts where the server
// and the mount have locks (Linux clients turn it into a lock of the server). Where a file system
// has none, warning() says so and nothing is locked.
class RunLock {
 public:
  static constexpr const char* file_name = "run.lock";

  RunLock() = default;  // of nothing
  // Error in one line that names the process where another one has it. The folder must exist.
  explicit RunLock(const std::filesystem::path& folder);
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  ~RunLock() { unlock(); }

  void unlock();
  // "" where the folder is locked.
  const std::string& warning() const { return warning_; }

  // "process 123 on HOST" that has the folder now, "" if none has.
  static std::string holder(const std::filesystem::path& folder);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  TemporaryName known_;
  std::string warning_;
};

}  // namespace ek
