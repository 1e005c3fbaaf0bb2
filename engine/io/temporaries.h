#pragma once
#include <string>

namespace ek {

// The name of a file that must not outlive this process. Removing it is its owner's duty; this
// object only makes it known, while it lives, to unlink_temporaries().
class TemporaryName {
 public:
  TemporaryName() = default;
  explicit TemporaryName(std::string path);
  TemporaryName(TemporaryName&& other) noexcept;
  TemporaryName& operator=(TemporaryName&& other) noexcept;
  ~TemporaryName() { forget(); }
  void forget();

 private:
  const char* path_ = nullptr;  // owned
  int slot_ = -1;               // -1: all were taken, so that nothing knows of it
};

// Removes the files with these names. For signal handlers that end the process: it calls nothing
// but unlink(2).
void unlink_temporaries() noexcept;

}  // namespace ek
