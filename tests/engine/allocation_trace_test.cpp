#include "engine/memory/allocation_trace.h"

#include "engine/tensor/random.h"
#include "tests/catch.h"

using namespace ek;

namespace {

std::vector<std::size_t> asked(const AllocationTrace& trace) {
  std::vector<std::size_t> bytes;
  for (const auto& event : trace.events()) {
    if (event.bytes >= 0) bytes.push_back(std::size_t(event.bytes));
  }
  return bytes;
}

}  // namespace

TEST_CASE("a trace sees what its thread allocates, the innermost one alone") {
  const auto older = allocate({}, 10);
  AllocationTrace outer;
  auto first = allocate({}, 100);
  {
    AllocationTrace inner;
    inner.next_part();
    const MemoryScope scope(MemoryUse::workspace);
    const auto second = allocate({}, 200);
    first.reset();  // not of this trace
    CHECK(asked(inner) == std::vector<std::size_t>{200});
    CHECK(inner.events().size() == 1);
    CHECK(inner.events()[0].use == MemoryUse::workspace);
    CHECK(inner.events()[0].part == 1);
  }
  const auto third = allocate({}, 300);
  CHECK(asked(outer) == std::vector<std::size_t>{100, 300});
}

TEST_CASE("a replay reaches the peaks that the allocator counted") {
  const RandomStream random(5, Purpose::test);
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    std::vector<std::shared_ptr<void>> blocks;
    AllocationTrace trace;
    MemoryStats before;
    constexpr std::uint64_t length = 200, marked = 90;
    for (std::uint64_t i = 0; i < length; ++i) {
      const auto draw = [&](std::uint64_t k, std::uint64_t bound) {
        return random.below((trial * length + i) * 4 + k, bound);
      };
      if (i == marked) {
        trace.next_part();
        reset_memory_peak();
      }
      if (!blocks.empty() && draw(0, 2) == 0) {
        blocks.erase(blocks.begin() + std::ptrdiff_t(draw(1, blocks.size())));
      } else {
        const MemoryScope scope{MemoryUse(draw(2, memory_use_count))};
        blocks.push_back(allocate({}, draw(3, 100000)));
      }
    }
    const MemoryStats stats = memory_stats();
    const MemoryPeak peak = replay(trace.events(), 1);
    // Whatever lived before the trace is in the allocator's figures and not in the replay's.
    std::int64_t live = 0;
    std::array<std::int64_t, memory_use_count> live_by_use{};
    for (std::size_t i = 0; i < trace.events().size(); ++i) {
      const auto& event = trace.events()[i];
      if (event.bytes < 0) continue;
      const bool returned = std::ranges::any_of(trace.events(), [&](const auto& other) {
        return other.bytes < 0 && other.block == event.block;
      });
      if (returned) continue;
      const auto bytes = std::int64_t(allocated_bytes(std::size_t(event.bytes)));
      live += bytes;
      live_by_use[std::size_t(event.use)] += bytes;
    }
    CHECK(peak.total == stats.peak_total_bytes - (stats.live_total_bytes - live));
    for (std::size_t use = 0; use < live_by_use.size(); ++use) {
      CHECK(peak.by_use[use] == stats.peak_bytes[use] - (stats.live_bytes[use] - live_by_use[use]));
    }
  }
}

TEST_CASE("a replay counts from its part on, with what was there before") {
  using Event = AllocationTrace::Event;
  const auto use = MemoryUse::activations;
  const std::vector<Event> events{{0, 640, use, 0},  {1, 6144, use, 0}, {1, -1, use, 0},
                                  {2, 1280, use, 1}, {0, -1, use, 1},   {3, 64, use, 1}};
  CHECK(replay(events, 0).total == 640 + 6144);
  CHECK(replay(events, 1).total == 640 + 1280);
  CHECK(replay(events, 1).by_use[std::size_t(use)] == 640 + 1280);
  CHECK(replay(events, 2).total == 0);
  CHECK(replay({}, 0).total == 0);
}

TEST_CASE("a trace sees one memory: the host's, which is also that of simt, or a GPU's") {
  const Device simt{Device::Kind::simt}, gpu{Device::Kind::cuda}, other{Device::Kind::cuda, 1};
  CHECK(AllocationTrace().sees(simt));
  CHECK(AllocationTrace(simt).sees({}));
  CHECK_FALSE(AllocationTrace(simt).sees(gpu));
  const AllocationTrace trace(gpu);
  CHECK(trace.sees(gpu));
  CHECK_FALSE(trace.sees(other));
  { const auto block = allocate({}, 100); }
  CHECK(trace.events().empty());
}
