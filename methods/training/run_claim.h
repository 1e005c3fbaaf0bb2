#pragma once
#include <filesystem>
#include <vector>

#include "methods/training/run_lock.h"

namespace ek {

// A run folder in the hands of this process: locked and, where this process began the run, taken
// away again with all of it unless keep() was called.
class RunClaim {
 public:
  RunClaim() = default;  // of nothing
  // Error unless `path` does not exist, or is an empty folder. Writes nothing.
  static void require_new(const std::filesystem::path& path);
  // Such a folder, made with its parents where they lack.
  static RunClaim make(const std::filesystem::path& path);
  // The folder of a run that there is. Temporary files of a process that was killed are removed.
  static RunClaim take(const std::filesystem::path& path);

  RunClaim(RunClaim&& other) noexcept;
  RunClaim& operator=(RunClaim&& other) noexcept;
  ~RunClaim() { release(); }

  // From now on the folder stays: there is something in it to go on from.
  void keep() { fresh_ = false; }
  const std::filesystem::path& path() const { return path_; }
  const std::string& warning() const { return lock_.warning(); }

 private:
  void release();

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // folders, the outermost first
  bool fresh_ = false;
  RunLock lock_;
};

}  // namespace ek
