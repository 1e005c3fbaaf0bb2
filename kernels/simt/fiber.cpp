#include "kernels/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>

#include "kernels/base/error.h"
#include "kernels/simt/check/sanitizer.h"
#ifdef EK_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

namespace ek::simt {

namespace context = boost::context::detail;

namespace {

constexpr std::size_t kStackBytes = (kAddressSanitizer ? 256 : 64) * 1024;
constexpr std::size_t kTopStep = 192, kTopSteps = 32;  // bytes; 6 KB of stagger at most

// The scheduler that resumed the running fiber, and the stack it stands on.
constinit thread_local Fiber* running = nullptr;
constinit thread_local void* scheduler = nullptr;
constinit thread_local const void* scheduler_stack = nullptr;
constinit thread_local std::size_t scheduler_stack_bytes = 0;

}  // namespace

// The address sanitizer must be told of every switch, on both sides of it.
struct FiberSwitch {
  static void leave_for([[maybe_unused]] void** saved, [[maybe_unused]] const void* bottom,
                        [[maybe_unused]] std::size_t bytes) {
#ifdef EK_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(saved, bottom, bytes);
#endif
  }
  static void arrive([[maybe_unused]] void* saved, [[maybe_unused]] bool on_fiber) {
#ifdef EK_ADDRESS_SANITIZER
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(saved, &bottom, &bytes);
    if (on_fiber) {
      scheduler_stack = bottom;
      scheduler_stack_bytes = bytes;
    }
#endif
  }
  static void first_frame(context::transfer_t from) {
    arrive(nullptr, true);
    scheduler = from.fctx;
    running->entry_();
    __builtin_trap();  // an entry never returns
  }
};

Fiber::Fiber(Entry entry, unsigned ordinal) : entry_(entry) {
  const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
  bytes_ = page + kStackBytes;
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "simt: no memory for a stack of {} bytes", bytes_);
  memory_ = static_cast<unsigned char*>(memory);
  if (mprotect(memory_, page, PROT_NONE) != 0) {
    munmap(memory_, bytes_);
    fail("simt: cannot protect the page below a stack");
  }
  top_ = memory_ + bytes_ - kTopStep * (ordinal % kTopSteps);
  forget();
}

Fiber::~Fiber() {
  munmap(memory_, bytes_);
}

void Fiber::forget() {
  // Frames that are never left stay poisoned otherwise, for whatever runs here next.
  unpoison(memory_ + (bytes_ - kStackBytes), kStackBytes);
  const std::size_t page = bytes_ - kStackBytes;
  context_ =
      context::make_fcontext(top_, std::size_t(top_ - memory_) - page, &FiberSwitch::first_frame);
}

void Fiber::resume() {
  running = this;
  void* saved = nullptr;
  FiberSwitch::leave_for(&saved, memory_ + (bytes_ - kStackBytes), kStackBytes);
  context_ = context::jump_fcontext(context_, nullptr).fctx;
  FiberSwitch::arrive(saved, false);
  running = nullptr;
}

void Fiber::suspend() {
  void* saved = nullptr;
  FiberSwitch::leave_for(&saved, scheduler_stack, scheduler_stack_bytes);
  scheduler = context::jump_fcontext(scheduler, nullptr).fctx;
  FiberSwitch::arrive(saved, true);
}

bool Fiber::contains(const void* address) const {
  const auto* p = static_cast<const unsigned char*>(address);
  return p >= memory_ + (bytes_ - kStackBytes) && p < memory_ + bytes_;
}

bool Fiber::guard_contains(const void* address) const {
  const auto* p = static_cast<const unsigned char*>(address);
  return p >= memory_ && p < memory_ + (bytes_ - kStackBytes);
}

}  // namespace ek::simt
