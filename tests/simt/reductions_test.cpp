// All reductions of float32 on the host executor against float64, with fewer terms than on the CPU
// (tests/kernels/reductions_test.cpp): a thread of a GPU is run by a loop here.
#include "tests/kernels/reductions.h"

#include "tests/simt/device.h"

namespace {

using Simt = ek::test::Reductions<ek::kernels::Simt, ek::simt::test::Input, ek::simt::Guarded>;

void check_all(std::int64_t n) {
  for (const ek::test::Reduction& reduction : Simt::all()) {
    for (const auto kind :
         {ek::test::Terms::constant, ek::test::Terms::positive, ek::test::Terms::mixed}) {
      const double roundings = reduction.worst_error(n, kind) * 0x1p24;
        printf("%-30s n %9ld kind %d: %8.2f of %.1f\n", reduction.name.c_str(), long(n), int(kind),
               roundings, ek::test::reduction_bound(n) * 0x1p24);
      CAPTURE(reduction.name, n, int(kind), roundings);
      CHECK(roundings <= ek::test::reduction_bound(n) * 0x1p24);
    }
  }
}

}  // namespace

TEST_CASE("simt: all reductions of 1000 terms keep their digits", "[reductions]") {
  check_all(1000);
}
TEST_CASE("simt: all reductions of 30000 terms keep their digits", "[reductions][slow]") {
  check_all(30'000);
}
