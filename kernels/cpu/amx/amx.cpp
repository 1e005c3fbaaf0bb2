#include "kernels/cpu/amx/amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ek::kernels::cpu {
namespace {

#if defined(__x86_64__) && defined(__linux__)
bool ask() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const auto bit = [](unsigned word, int n) { return (word >> n & 1) != 0; };
  const bool avx512 = bit(b, 16) && bit(b, 30) && bit(b, 31);  // F, BW, VL
  unsigned a1 = 0, b1 = 0, c1 = 0, d1 = 0;
  if (!__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1) || !bit(a1, 5)) return false;  // AVX-512 bf16
  const bool amx = bit(d, 22) && bit(d, 24);                                      // bf16, tiles
  if (!avx512 || !amx) return false;
  // ARCH_REQ_XCOMP_PERM for the tile data, state component 18: Linux hands out the large register
  // state only to who asks for it, and refuses where it does not know it.
  constexpr long request = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
}
#else
bool ask() {
  return false;
}
#endif

}  // namespace

bool has_amx_bf16() {
  static const bool granted = ask();
  return granted;
}

}  // namespace ek::kernels::cpu
