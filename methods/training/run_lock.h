#pragma once
#include <filesystem>

namespace ek {

// Keeps other processes out of a run folder while it lives, by an advisory lock (flock) on the file
// RUN/lock, which holds the process and its machine. The system gives it back when the process
// ends, however it does. Whether a lock on a network file system is seen on another machine is up
// to that file system (NFS 4 and Linux's NFS 3 do it).
class RunLock {
 public:
  // Error in one line that names the process which holds the folder, if there is one.
  explicit RunLock(const std::filesystem::path& folder);
  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace ek
