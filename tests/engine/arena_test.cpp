#include "engine/memory/arena.h"

#include <cstring>

#include "engine/memory/allocator.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using ek::Arena;

namespace {

// Requests of a step: sizes, and -1 - n where the n-th block is given back.
const std::vector<std::int64_t> sequence{1000, 5000, -1, 300, 900, -2, 4000, 1 << 21, -4, -8, 200};

std::vector<Arena::Place> places(Arena& arena) {
  std::vector<Arena::Place> all;
  std::vector<void*> blocks;
  for (const std::int64_t request : sequence) {
    if (request < 0) {
      arena.give_back(blocks[std::size_t(-request - 1)]);
      blocks.push_back(nullptr);
      continue;
    }
    void* block = arena.take(std::size_t(request));
    std::memset(block, 1, std::size_t(request));
    blocks.push_back(block);
    all.push_back(arena.place_of(block));
  }
  return all;
}

}  // namespace

TEST_CASE("an arena lays a sequence of requests out the same way every time") {
  Arena a({}), b({});
  const auto first = places(a);
  // Chunks may come from elsewhere: the places are what counts.
  const auto held = ek::hold_memory({}, 1 << 20);
  CHECK(places(b) == first);
  CHECK(a.held_bytes() == b.held_bytes());
}

TEST_CASE("an arena reuses what is given back, and joins neighbours") {
  Arena arena({});
  void* a = arena.take(1000);
  void* b = arena.take(1000);
  void* c = arena.take(1000);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 64 == 0);
  arena.give_back(a);
  CHECK(arena.take(900) == a);  // rounded to the same size
  arena.give_back(a);
  arena.give_back(b);
  CHECK(arena.take(2000) == a);  // a and b are one range
  arena.give_back(c);
  CHECK(arena.place_of(a).offset == 0);
  const std::int64_t held = arena.held_bytes();
  arena.take(std::size_t(held));  // does not fit any more
  CHECK(arena.held_bytes() > 2 * held - 1);
}

TEST_CASE("the memory of an arena goes back with it") {
  const auto before = ek::memory_stats();
  {
    Arena arena({});
    void* a = arena.take(100);
    CHECK(ek::memory_stats().graph_bytes == before.graph_bytes + arena.held_bytes());
    CHECK(arena.has(a));
    arena.give_back(a);
    CHECK_FALSE(arena.has(a));
    CHECK(contains(error_of([&] { arena.give_back(a); }), "that it does not have"));
  }
  CHECK(ek::memory_stats().graph_bytes == before.graph_bytes);
  CHECK(ek::memory_stats().live_total_bytes == before.live_total_bytes);
}
