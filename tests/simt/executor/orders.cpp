#include "tests/simt/executor/orders.h"

#include "kernels/simt/check/checked.h"
#include "kernels/simt/check/sanitizer.h"

// Asked by the sanitizers' libraries, where they are linked.
static_assert(ek::simt::test::kSanitizerExit == 99);
extern "C" const char* __asan_default_options() {
  return "exitcode=99";
}
extern "C" const char* __ubsan_default_options() {
  return "exitcode=99";
}

namespace ek::simt::test {

Flavour flavour() {
  if (checked) return Flavour::checked;
  return address_sanitizer() ? Flavour::sanitized : Flavour::plain;
}

std::vector<Options> some_orders() {
  std::vector<Options> list(5);
  list[1].threads = list[1].blocks = Order::reverse;
  list[1].poison = 0xA7;  // a small negative number: what NaN would hide shows
  list[2].threads = list[2].blocks = Order::random;
  list[2].resident_blocks = 4;
  list[3] = list[2];
  list[3].seed = 2;
  list[4].copies = AsyncCopy::at_issue;
  return list;
}

}  // namespace ek::simt::test
