// All reductions of float32 on the CPU against float64.
#include "tests/kernels/reductions.h"

#include "tests/catch.h"

namespace {

template <class T>
struct Memory {
  explicit Memory(const std::vector<T>& values) : numbers(values) {}
  explicit Memory(std::size_t count) : numbers(count, T(NAN)) {}
  T* data() { return numbers.data(); }
  const T* data() const { return numbers.data(); }
  std::size_t size() const { return numbers.size(); }
  const std::vector<T>& values() const { return numbers; }

  std::vector<T> numbers;
};

using Cpu = ek::test::Reductions<ek::kernels::Cpu, Memory, Memory>;

void check_all(std::int64_t n) {
  for (const ek::test::Reduction& reduction : Cpu::all()) {
    if (n > reduction.most_terms) continue;
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

TEST_CASE("all reductions of 1000 and of 100000 terms keep their digits", "[reductions]") {
  check_all(1000);
  check_all(100'000);
}

TEST_CASE("all reductions of 10 million terms keep their digits", "[reductions][slow]") {
  check_all(10'000'000);
}
