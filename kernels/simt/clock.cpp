#include "kernels/simt/clock.h"

#include <algorithm>

#include "kernels/simt/check/checked.h"

namespace ek::simt {

namespace {

// The atomics of the running launch, by address: what their past users published.
std::map<const void*, Knowledge> atomics;
std::uint64_t atomics_of_launch = 0;

template <class F>
void for_lanes(std::uint32_t mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(std::size_t(__builtin_ctz(mask)));
}

bool knows(const Knowledge& knowledge, const Mark& mark) {
  const auto found = knowledge.find(mark.serial);
  if (found == knowledge.end()) return false;
  if (mark.block_epoch < found->second.epoch) return true;
  const auto warp = found->second.lanes.find(mark.thread / 32);
  return warp != found->second.lanes.end() && warp->second[mark.thread % 32] >= mark.lane_epoch;
}

}  // namespace

void join(Knowledge& into, const Knowledge& from) {
  for (const auto& [serial, view] : from) {
    BlockView& mine = into[serial];
    mine.epoch = std::max(mine.epoch, view.epoch);
    for (const auto& [warp, epochs] : view.lanes) {
      auto& lanes = mine.lanes[warp];
      for (std::size_t i = 0; i < 32; ++i) lanes[i] = std::max(lanes[i], epochs[i]);
    }
  }
}

void start_block_clock(Block& block) {
  if (!block.clock) block.clock = std::make_shared<BlockClock>();
  BlockClock& clock = *block.clock;
  clock.shared.resize(SharedArena::kArenaBytes / 4);
  // Only what the block before used needs clearing.
  std::fill_n(clock.shared.begin(), block.arena.used() / 4, Cell{});
  clock.epoch = 1;
  clock.warps.assign((block.threads + 31) / 32, WarpClock{});
  for (WarpClock& warp : clock.warps) warp.epoch.fill(1);
  clock.known.clear();
  clock.sync.clear();
  if (atomics_of_launch != current->first_serial) {
    atomics.clear();
    atomics_of_launch = current->first_serial;
  }
}

// Everything before the barrier is known to everybody after it.
void tick_block(Block& block) {
  BlockClock& clock = *block.clock;
  for (const auto& [thread, sync] : clock.sync) join(clock.known, sync.known);
  ++clock.epoch;
}

void tick_warp(Warp& warp, std::uint32_t mask) {
  BlockClock& block = *warp.block->clock;
  WarpClock& clock = block.warps[warp.lanes[0].number / 32];
  std::array<std::uint32_t, 32> joined{};
  for_lanes(mask, [&](std::size_t a) {
    clock.seen[a][a] = clock.epoch[a]++;
    for (std::size_t b = 0; b < 32; ++b) joined[b] = std::max(joined[b], clock.seen[a][b]);
  });
  for_lanes(mask, [&](std::size_t a) { clock.seen[a] = joined; });
  if (block.sync.empty()) return;
  Knowledge known;
  for_lanes(mask, [&](std::size_t a) {
    const auto sync = block.sync.find(warp.lanes[a].number);
    if (sync != block.sync.end()) join(known, sync->second.known);
  });
  if (known.empty()) return;
  for_lanes(mask, [&](std::size_t a) { join(block.sync[warp.lanes[a].number].known, known); });
}

// A fence makes what was acquired valid, and publishes all that this thread knows.
void tick_fence() {
  const Lane& lane = *current->lane;
  Block& block = *current->block;
  BlockClock& clock = *block.clock;
  WarpClock& warp = clock.warps[lane.number / 32];
  const std::size_t i = lane.number % 32;
  ThreadSync& sync = clock.sync[lane.number];
  join(sync.known, sync.acquired);
  sync.published = clock.known;
  join(sync.published, sync.known);
  BlockView& own = sync.published[block.serial];
  own.epoch = clock.epoch;
  warp.seen[i][i] = warp.epoch[i]++;
  own.lanes[lane.number / 32] = warp.seen[i];
}

void tick_atomic(const void* address) {
  ThreadSync& sync = current->block->clock->sync[current->lane->number];
  Knowledge& object = atomics[address];
  join(sync.acquired, object);
  join(object, sync.published);
}

Mark mark_of(const Lane& lane, std::uint8_t bytes, bool atomic, Origin at) {
  const BlockClock& clock = *current->block->clock;
  return {.serial = current->block->serial,
          .block_epoch = clock.epoch,
          .lane_epoch = clock.warps[lane.number / 32].epoch[lane.number % 32],
          .thread = lane.number,
          .bytes = bytes,
          .atomic = atomic,
          .at = at};
}

bool ordered_before(const Mark& mark, const Lane& lane) {
  if (mark.serial < current->first_serial) return true;  // an earlier launch, or none
  const BlockClock& clock = *current->block->clock;
  if (mark.serial == current->block->serial) {
    if (mark.thread == lane.number || mark.block_epoch < clock.epoch) return true;
    return mark.thread / 32 == lane.number / 32 &&
           clock.warps[lane.number / 32].seen[lane.number % 32][mark.thread % 32] >=
               mark.lane_epoch;
  }
  if (knows(clock.known, mark)) return true;
  const auto sync = clock.sync.find(lane.number);
  return sync != clock.sync.end() && knows(sync->second.known, mark);
}

}  // namespace ek::simt
