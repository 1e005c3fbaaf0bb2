#include <algorithm>
#include <numeric>

#include "kernels/simt/check/sanitizer.h"
#include "kernels/simt/warp/target.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/simt/device.h"
#include "tests/simt/executor/errors.h"

using namespace ek::simt;
using namespace ek::simt::test;

namespace {

std::vector<int> counted(int from, int to) {
  std::vector<int> values(std::size_t(to - from));
  std::iota(values.begin(), values.end(), from);
  return values;
}

}  // namespace

// Whole messages: kernel, block, thread, cause, line.
TEST_CASE("failures of a launch are one line") {
  CHECK(error_of(launch_named) ==
        "simt: named<float, 7>: block (0,0,0) thread (7,0,0): at a barrier that 7 threads of the "
        "block can never reach: they have returned, tests/simt/executor/errors.cu:13");
  CHECK(error_of(launch_throwing) ==
        "simt: throws: block (0,0,0) thread (3,0,0): an exception left the kernel: out of luck");
  CHECK(error_of(launch_refusing) ==
        "simt: refuses: block (0,0,0) thread (3,0,0): three threads at most, "
        "tests/simt/executor/errors.cu:22");
  CHECK(error_of(launch_too_much_shared) ==
        "simt: too_much_shared: block (0,0,0) thread (0,0,0): a shared variable of 40000 bytes "
        "does not fit: 49152 bytes of static and 232448 of shared memory altogether, "
        "tests/simt/executor/errors.cu:38");
  CHECK(error_of(launch_asking_for_more) ==
        "simt: asks_for_more: block (0,0,0) thread (0,0,0): shared_memory of 400 bytes aligned to "
        "4, but the launch gave 16 bytes aligned to 128, tests/simt/executor/errors.cu:47");
}

TEST_CASE("a launch that no device would take") {
  CHECK(error_of([] { launch_nothing(1, 1025); }) ==
        "simt: nothing: a block of (1025,1,1) threads, expected 1 to 1024 and z at most 64");
  CHECK(error_of([] { launch_nothing(0, 32); }) ==
        "simt: nothing: a grid of (0,1,1) blocks, expected at least one, y and z at most 65535");
  CHECK(error_of([] { launch_nothing(1, 32, 300000); }) ==
        "simt: nothing: 300000 bytes of dynamic shared memory, expected at most 232448");
  CHECK(error_of([] { ek::kernels::simt_target::__syncthreads(); }) ==
        "simt: __syncthreads called outside a kernel");
}

// The address sanitizer reports an overflow by itself, and ends the process.
TEST_CASE("a stack that overflows is a failure of the launch") {
  if (address_sanitizer()) return;
  CHECK(error_of(launch_overflowing) ==
        "simt: overflows: block (0,0,0) thread (0,0,0): the stack of a thread overflows");
}

// Forgotten stacks and half-done blocks leave nothing behind.
TEST_CASE("launches work after failures") {
  for (int i = 0; i < 100; ++i) {
    CHECK(!error_of(launch_throwing).empty());
    CHECK(!error_of(launch_named).empty());
    CHECK(order_of_execution(2, 64) == counted(0, 128));
  }
}

TEST_CASE("threads and blocks run in the order that the options say") {
  CHECK(order_of_execution(2, 64) == counted(0, 128));
  {
    Options reverse;
    reverse.threads = reverse.blocks = Order::reverse;
    const ScopedOptions scope(reverse);
    std::vector<int> expected = counted(0, 128);
    std::ranges::reverse(expected);
    CHECK(order_of_execution(2, 64) == expected);
  }
  std::vector<std::vector<int>> orders;
  for (const std::uint64_t seed : {1u, 1u, 2u}) {
    Options random;
    random.threads = random.blocks = Order::random;
    random.seed = seed;
    const ScopedOptions scope(random);
    orders.push_back(order_of_execution(4, 64));
    std::vector<int> sorted = orders.back();
    std::ranges::sort(sorted);
    CHECK(sorted == counted(0, 256));
  }
  CHECK(orders[0] == orders[1]);
  CHECK(orders[0] != orders[2]);
}

// With blocks in flight at once, some thread of the second block runs before the first is done.
TEST_CASE("resident blocks interleave") {
  Options options;
  options.threads = Order::random;
  options.resident_blocks = 2;
  const ScopedOptions scope(options);
  const std::vector<int> order = order_of_execution(2, 64);
  CHECK(*std::min_element(order.begin() + 64, order.end()) <
        *std::max_element(order.begin(), order.begin() + 64));
}

TEST_CASE("indices have three dimensions") {
  const std::vector<int> seen = all_indices();
  CHECK(seen == std::vector<int>(seen.size(), 1));
}
