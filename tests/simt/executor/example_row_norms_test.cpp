#include "tests/simt/executor/example_row_norms.h"

#include "tests/catch.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::test::epsilon_of;
using ek::test::max_error;
using ek::test::random_numbers;

TEMPLATE_TEST_CASE("simt example: norms of rows", "", float, double) {
  using T = TestType;
  for (const std::int64_t rows : {0, 1, 3, 131}) {
    for (const std::int64_t columns : {0, 1, 7, 8, 31, 33, 100}) {
      CAPTURE(rows, columns);
      const auto values = random_numbers<T>(rows * columns, 1);
      std::vector<T> expected(std::size_t(rows), T(0));
      example::row_norms<Cpu, T>({}, rows, columns, values.data(), expected.data());
      const Input<T> x(values, "x");
      const auto norms = in_all_orders<T>(std::size_t(rows), 0, [&](T* to) {
        example::row_norms<Simt, T>({}, rows, columns, x.data(), to);
      });
      // Two sums of positive terms in any order, and the root, which halves their error.
      REQUIRE(max_error(norms, expected, 0x1p-20) <= double(columns + 2) * epsilon_of<T>());
    }
  }
}
