#include "kernels/simt/check/segfault.h"

#include <signal.h>

#include <cstdlib>

#include "kernels/base/error.h"
#include "kernels/simt/buffers.h"
#include "kernels/simt/executor.h"

namespace ek::simt {

namespace {

struct sigaction before;
constexpr std::size_t kSignalStackBytes = 64 * 1024;

void on_fault(int signal, siginfo_t* info, void*) {
  if (!current || !current->lane || !current->lane->fiber) {
    sigaction(signal, &before, nullptr);  // the instruction runs again and meets that handler
    return;
  }
  in_kernel_code = false;
  if (current->lane->fiber->guard_contains(info->si_addr)) {
    current->fail("the stack of a thread overflows", {});
  }
  current->fail("an access to memory that faults, " + locate(info->si_addr), {});
}

// Fibers have little stack, and one that overflowed has none: the handler brings its own.
void give_signal_stack() {
  stack_t stack{};
  if (sigaltstack(nullptr, &stack) == 0 && !(stack.ss_flags & SS_DISABLE)) return;
  static thread_local void* memory = std::malloc(kSignalStackBytes);
  require(memory != nullptr, "simt: no memory for a signal stack");
  stack = {};
  stack.ss_sp = memory;
  stack.ss_size = kSignalStackBytes;
  require(sigaltstack(&stack, nullptr) == 0, "simt: cannot set a signal stack");
}

}  // namespace

void catch_segfaults() {
  give_signal_stack();
  struct sigaction now {};
  require(sigaction(SIGSEGV, nullptr, &now) == 0, "simt: cannot ask for the handler of faults");
  if (now.sa_sigaction == &on_fault) return;
  before = now;
  struct sigaction ours {};
  ours.sa_sigaction = &on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  require(sigaction(SIGSEGV, &ours, nullptr) == 0, "simt: cannot catch faults of kernels");
}

}  // namespace ek::simt
