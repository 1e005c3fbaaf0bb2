#include "methods/training/run_claim.h"

#include <algorithm>
#include <utility>

#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

// All that a run writes. Only these are ever removed.
constexpr const char* run_files[] = {"config.json",     "manifest.json", "tuning.json",
                                     "metrics.jsonl",   "summary.json",  "best.safetensors",
                                     "last.safetensors"};

bool is_empty_but_for_lock(const fs::path& path) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().filename() != RunLock::file_name) return false;
  }
  require(!error, "--out {}: {}", path.string(), error.message());
  return true;
}

void remove_temporaries(const fs::path& path) {
  std::error_code ignored;
  for (const char* name : run_files) fs::remove(path / (std::string(name) + ".tmp"), ignored);
}

// Those of `path` and its parents that are not there, the outermost first.
std::vector<fs::path> missing_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  std::error_code error;
  fs::path at = fs::absolute(path).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  for (; !at.empty() && !fs::exists(at, error) && at != at.root_path(); at = at.parent_path()) {
    missing.insert(missing.begin(), at);
  }
  return missing;
}

}  // namespace

void RunClaim::require_new(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  require(fs::is_directory(path, error), "--out {}: it is a file", path.string());
  const std::string holder = RunLock::holder(path);
  require(holder.empty(), "--out {}: in use by {}", path.string(), holder);
  require(is_empty_but_for_lock(path),
          "--out {}: the folder is not empty (--resume continues a run)", path.string());
}

RunClaim RunClaim::make(const fs::path& path) {
  require_new(path);
  RunClaim claim;
  claim.path_ = path;
  claim.made_ = missing_folders(path);
  std::error_code error;
  fs::create_directories(path, error);
  require(!error, "--out {}: {}", path.string(), error.message());
  claim.fresh_ = true;
  try {
    claim.lock_ = RunLock(path);
    // Another process may have been here between the look and the lock.
    require(is_empty_but_for_lock(path),
            "--out {}: the folder is not empty (--resume continues a run)", path.string());
  } catch (...) {
    claim.path_.clear();  // what lies in it is not this run's
    throw;
  }
  return claim;
}

RunClaim RunClaim::take(const fs::path& path) {
  std::error_code error;
  require(fs::is_directory(path, error), "--resume: {} is not a run folder", path.string());
  require(fs::exists(path / "config.json", error),
          "--resume: {} is not a run folder, it has no config.json", path.string());
  RunClaim claim;
  claim.path_ = path;
  claim.lock_ = RunLock(path);
  remove_temporaries(path);
  return claim;
}

RunClaim::RunClaim(RunClaim&& other) noexcept
    : path_(std::move(other.path_)),
      made_(std::move(other.made_)),
      fresh_(std::exchange(other.fresh_, false)),
      lock_(std::move(other.lock_)) {}

RunClaim& RunClaim::operator=(RunClaim&& other) noexcept {
  if (this == &other) return *this;
  release();
  path_ = std::move(other.path_);
  made_ = std::move(other.made_);
  fresh_ = std::exchange(other.fresh_, false);
  lock_ = std::move(other.lock_);
  return *this;
}

void RunClaim::release() {
  std::error_code ignored;
  if (fresh_ && !path_.empty()) {
    for (const char* name : run_files) fs::remove(path_ / name, ignored);
    remove_temporaries(path_);
  }
  lock_.unlock();
  if (!std::exchange(fresh_, false)) return;
  // Only folders that are empty go.
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) {
    fs::remove(*folder, ignored);
  }
}

}  // namespace ek
