// What code compiled with -fsanitize=thread calls. The sanitizer's own library is not linked:
// these take its place, and the executor judges the accesses (checked.h).
#include "kernels/simt/check/checked.h"

namespace {

using ek::simt::Access;

inline void note(const void* address, std::size_t bytes, Access access, const void* pc) {
  if (!ek::simt::in_kernel_code) return;
  ek::simt::in_kernel_code = false;
  ek::simt::check_access(address, bytes, access, *ek::simt::current->lane, ek::simt::Origin(pc));
  ek::simt::in_kernel_code = true;
}

}  // namespace

#define EK_PC __builtin_return_address(0)
#define EK_CALLBACKS(n)                     \
  void __tsan_read##n(void* p) {            \
    note(p, n, Access::read, EK_PC);        \
  }                                         \
  void __tsan_write##n(void* p) {           \
    note(p, n, Access::write, EK_PC);       \
  }                                         \
  void __tsan_unaligned_read##n(void* p) {  \
    note(p, n, Access::read, EK_PC);        \
  }                                         \
  void __tsan_unaligned_write##n(void* p) { \
    note(p, n, Access::write, EK_PC);       \
  }                                         \
  void __tsan_volatile_read##n(void* p) {   \
    note(p, n, Access::read, EK_PC);        \
  }                                         \
  void __tsan_volatile_write##n(void* p) {  \
    note(p, n, Access::write, EK_PC);       \
  }

extern "C" {
EK_CALLBACKS(1)
EK_CALLBACKS(2)
EK_CALLBACKS(4)
EK_CALLBACKS(8)
EK_CALLBACKS(16)
void __tsan_read_range(void* p, std::size_t bytes) {
  note(p, bytes, Access::read, EK_PC);
}
void __tsan_write_range(void* p, std::size_t bytes) {
  note(p, bytes, Access::write, EK_PC);
}
void __tsan_init() {
  ek::simt::checked = true;
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
