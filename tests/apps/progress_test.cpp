// The progress line in terminals of any width.
#include "apps/common/progress.h"

#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek;

TEST_CASE("the progress line fits its terminal", "[progress]") {
  const Progress p{.step = 123456,
                   .end_step = 200000,
                   .epoch = 99,
                   .loss = 1.2345,
                   .learning_rate = 0.02,
                   .steps_per_s = 12.3,
                   .seconds_left = 7384,
                   .peak_bytes = std::int64_t(300) << 20};
  for (std::size_t columns = 1; columns < 200; ++columns) {
    CHECK(progress_line(p, columns).size() < columns);
  }
  CHECK(progress_line(p, 40) == "step 123456/200000  left 2:03:04");
  CHECK(contains(progress_line(p, 80), "loss 1.2345"));
  CHECK(progress_line(p, 160).starts_with("[############........] step 123456/200000"));
  CHECK(contains(progress_line(p, 160), "peak 300 MiB"));
}
