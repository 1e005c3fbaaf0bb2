#pragma once
#include <cstddef>

namespace ek::simt {

// A stack on which kernel threads run one after another. The scheduler resumes it, kernel code
// suspends; both are a switch of registers and no system call. All of it stays on one OS thread.
class Fiber {
 public:
  using Entry = void (*)();  // never returns: it suspends when it has nothing to do

  // `ordinal` staggers the tops of stacks, which would share cache sets if all were page-aligned.
  Fiber(Entry entry, unsigned ordinal);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the fiber until it suspends.
  void resume();

  // On a fiber: back to the resume() that runs it.
  static void suspend();

  // Drops whatever is on the stack, without destructors. The next resume starts at the entry.
  void forget();

  bool contains(const void* address) const;
  // Below the stack lies a page that faults.
  bool guard_contains(const void* address) const;

 private:
  Entry entry_;
  unsigned char* memory_ = nullptr;  // the guard page, then the stack
  std::size_t bytes_ = 0;
  unsigned char* top_ = nullptr;
  void* context_ = nullptr;
  friend struct FiberSwitch;
};

}  // namespace ek::simt
