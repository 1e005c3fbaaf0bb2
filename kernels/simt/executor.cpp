#include "kernels/simt/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/simt/check/checked.h"
#include "kernels/simt/check/messages.h"
#include "kernels/simt/check/recording.h"
#include "kernels/simt/check/segfault.h"
#include "kernels/simt/launches.h"

namespace ek::simt {

constinit thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;
constinit thread_local Executor* current = nullptr;
constinit thread_local bool in_kernel_code = false;

Options& options() {
  static thread_local Options options;
  return options;
}

namespace {

std::uint64_t volume(Dim3 d) {
  return std::uint64_t(d.x) * d.y * d.z;
}

Dim3 position(std::uint64_t ordinal, Dim3 extent) {
  return {unsigned(ordinal % extent.x), unsigned(ordinal / extent.x % extent.y),
          unsigned(ordinal / extent.x / extent.y)};
}

// The first frame of every stack: one kernel thread after another.
void run_threads() {
  for (;;) {
    Executor& executor = *current;
    std::optional<std::string> escaped;
    in_kernel_code = true;
    try {
      executor.launch->call(executor.launch->arguments);
      in_kernel_code = false;
    } catch (const std::exception& error) {
      in_kernel_code = false;
      escaped = error.what();
    } catch (...) {
      in_kernel_code = false;
      escaped = "of an unknown type";
    }
    // Only here, outside the catch block, may the fiber be left for good.
    if (escaped) {
      std::string what = "an exception left the kernel: " + *escaped;
      escaped.reset();
      executor.fail(std::move(what), {});
    }
    executor.thread_returned();
    Fiber::suspend();
  }
}

constinit thread_local LaunchObserver launch_observer = nullptr;

}  // namespace

LaunchObserver observe_launches(LaunchObserver observer) {
  return std::exchange(launch_observer, observer);
}

void run_launch(const LaunchInfo& launch) {
  if (LaunchRecorder* recorder = LaunchRecorder::current()) {
    Executor::check_launch(launch);
    return recorder->take(launch);
  }
  static thread_local Executor executor;
  if (launch_observer) launch_observer(kernel_title(launch.kernel).c_str());
  executor.run(launch);
}

void Executor::check_launch(const LaunchInfo& launch) {
  const std::string title = kernel_title(launch.kernel);
  const std::uint64_t threads = volume(launch.block), blocks = volume(launch.grid);
  const bool fits = threads >= 1 && threads <= 1024 && launch.block.z <= 64;
  require(fits, "simt: {}: a block of {} threads, expected 1 to 1024 and z at most 64", title,
          show(launch.block));
  require(blocks >= 1 && launch.grid.x <= 0x7FFFFFFF && launch.grid.y <= 65535 &&
              launch.grid.z <= 65535,
          "simt: {}: a grid of {} blocks, expected at least one, y and z at most 65535", title,
          show(launch.grid));
  require(launch.shared_bytes <= SharedArena::kMaxBytes,
          "simt: {}: {} bytes of dynamic shared memory, expected at most {}", title,
          launch.shared_bytes, SharedArena::kMaxBytes);
}

void Executor::run(const LaunchInfo& info) {
  require(current == nullptr, "simt: {}: launched from inside a kernel", kernel_title(info.kernel));
  launch = &info;
  check_launch(info);
  catch_segfaults();
  used = options();
  random_.seed(used.seed);
  const std::uint64_t count = volume(info.grid);
  block_order_.resize(count);
  std::iota(block_order_.begin(), block_order_.end(), std::uint64_t(0));
  if (used.blocks == Order::reverse) std::ranges::reverse(block_order_);
  if (used.blocks == Order::random) std::ranges::shuffle(block_order_, random_);
  const std::size_t resident =
      std::clamp<std::size_t>(used.resident_blocks, 1, std::min<std::size_t>(count, 64));
  while (blocks_.size() < resident) blocks_.push_back(std::make_unique<Block>());
  first_serial = next_serial_;
  failure_ = {};
  if (std::exchange(tickets_taken_, false)) tickets_.fill(0);  // a launch that failed leaves some
  blockDim = info.block;
  gridDim = info.grid;
  current = this;
  try {
    run_blocks();
    require_returned_tickets();
  } catch (...) {
    current = nullptr;
    throw;
  }
  current = nullptr;
}

void Executor::run_blocks() {
  std::vector<Block*> active;
  std::size_t started = 0;
  while (active.size() < std::max(1u, used.resident_blocks) && started < block_order_.size() &&
         active.size() < blocks_.size()) {
    active.push_back(blocks_[active.size()].get());
    start_block(*active.back(), block_order_[started++]);
  }
  std::size_t turn = 0;
  while (!active.empty()) {
    turn = used.threads == Order::random && active.size() > 1 ? random_() % active.size()
                                                              : (turn + 1) % active.size();
    Block& chosen = *active[turn];
    run_one_thread(chosen);
    if (failure_.set) throw_failure();
    if (!finished(chosen)) continue;
    if (started < block_order_.size()) {
      start_block(chosen, block_order_[started++]);
    } else {
      active.erase(active.begin() + std::ptrdiff_t(turn));
    }
  }
}

void Executor::start_block(Block& b, std::uint64_t ordinal) {
  b.index = position(ordinal, launch->grid);
  b.threads = unsigned(volume(launch->block));
  b.returned = b.arrived = 0;
  b.votes = 0;
  b.runnable_warps = 0;
  b.last_warp = 0;
  b.serial = next_serial_++;
  const unsigned warps = (b.threads + 31) / 32;
  if (b.warps.size() < warps) b.warps.resize(warps);
  for (unsigned w = 0; w < warps; ++w) {
    Warp& of = b.warps[w];
    const unsigned lanes = std::min(32u, b.threads - 32 * w);
    of.block = &b;
    of.exists = of.runnable = lanes == 32 ? 0xFFFFFFFF : (1u << lanes) - 1;
    of.at_operation = of.at_barrier = of.returned = 0;
    for (unsigned i = 0; i < lanes; ++i) {
      of.lanes[i].number = std::uint16_t(32 * w + i);
      of.lanes[i].index = position(32 * w + i, launch->block);
      of.lanes[i].fiber = nullptr;
      of.lanes[i].copies.clear();
      of.lanes[i].group = 0;
    }
    b.runnable_warps |= 1u << w;
  }
  if (checked) start_block_clock(b);
  b.arena.reset(launch->shared_bytes, used.poison);
}

Warp& Executor::choose_warp(Block& b) {
  unsigned w = unsigned(std::countr_zero(b.runnable_warps));
  if (used.threads == Order::reverse) w = 31 - unsigned(std::countl_zero(b.runnable_warps));
  if (used.threads == Order::random) {
    // Mostly the same warp again: what is wrong inside a warp needs its lanes close together.
    const bool stay = (b.runnable_warps >> b.last_warp & 1) && random_() % 8 != 0;
    unsigned skip = stay ? 0 : unsigned(random_() % unsigned(std::popcount(b.runnable_warps)));
    if (stay) w = b.last_warp;
    for (std::uint32_t rest = b.runnable_warps; !stay && skip > 0; --skip) {
      rest &= rest - 1;
      w = unsigned(std::countr_zero(rest));
    }
  }
  b.last_warp = w;
  return b.warps[w];
}

std::uint32_t Executor::choose_lane(const Warp& of) {
  if (used.threads == Order::reverse) return 31 - std::uint32_t(std::countl_zero(of.runnable));
  std::uint32_t rest = of.runnable;
  if (used.threads == Order::random) {
    for (auto skip = random_() % unsigned(std::popcount(rest)); skip > 0; --skip) rest &= rest - 1;
  }
  return std::uint32_t(std::countr_zero(rest));
}

void Executor::run_one_thread(Block& b) {
  if (b.runnable_warps == 0) {
    fail_block(b, deadlock(b));
    return;
  }
  block = &b;
  warp = &choose_warp(b);
  lane = &warp->lanes[choose_lane(*warp)];
  if (!lane->fiber) lane->fiber = take_fiber();
  threadIdx = lane->index;
  blockIdx = b.index;
  lane->fiber->resume();
}

bool Executor::finished(Block& b) {
  if (b.returned < b.threads) return false;
  const std::string damage = b.arena.damage();
  if (!damage.empty()) {
    fail_block(b, damage);
    throw_failure();
  }
  return true;
}

unsigned* Executor::take_tickets() {
  tickets_taken_ = true;
  return tickets_.data();
}

// On a GPU the next launch would find them.
void Executor::require_returned_tickets() {
  if (!tickets_taken_) return;
  const auto left = std::ranges::find_if(tickets_, [](unsigned count) { return count != 0; });
  require(left == tickets_.end(), "simt: {}: ends with {} of ticket {} taken, expected none",
          kernel_title(launch->kernel), left == tickets_.end() ? 0 : *left,
          left - tickets_.begin());
}

Fiber* Executor::take_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(&run_threads, unsigned(fibers_.size())));
    return fibers_.back().get();
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

void Executor::wait() {
  const std::uint32_t bit = 1u << (lane->number % 32);
  warp->runnable &= ~bit;
  if (warp->runnable == 0) block->runnable_warps &= ~(1u << (lane->number / 32));
  Fiber::suspend();
}

void Executor::make_runnable(Warp& of, std::uint32_t lanes) {
  of.runnable |= lanes;
  if (lanes != 0) of.block->runnable_warps |= 1u << (of.lanes[0].number / 32);
}

void Executor::thread_returned() {
  const std::uint32_t bit = 1u << (lane->number % 32);
  if (!lane->copies.empty()) {
    fail(fmt::format("returned with {} asynchronous copies that it never waited for",
                     lane->copies.size()),
         lane->copies[0].site);
  }
  if (block->arrived > 0) {
    fail(fmt::format("returned while {} threads wait at a barrier", block->arrived),
         block->barrier_site);
  }
  warp->returned |= bit;
  warp->runnable &= ~bit;
  if (warp->runnable == 0) block->runnable_warps &= ~(1u << (lane->number / 32));
  ++block->returned;
  idle_.push_back(lane->fiber);
  lane->fiber = nullptr;
}

std::string Executor::deadlock(const Block& b) const {
  std::map<std::string, int> groups;
  for (unsigned i = 0; i < b.threads; ++i) {
    const Warp& of = b.warps[i / 32];
    const Lane& waiting = of.lanes[i % 32];
    const std::uint32_t bit = 1u << (i % 32);
    if (of.at_barrier & bit) ++groups["at a barrier, " + show(b.barrier_site)];
    if (of.at_operation & bit) {
      ++groups[fmt::format("at {}, {}", waiting.operation_name, show(waiting.site))];
    }
    if (of.returned & bit) ++groups["returned"];
  }
  std::string text = "the block waits for ever:";
  for (const auto& [where, count] : groups) text += fmt::format(" {} {};", count, where);
  text.pop_back();
  return text;
}

void Executor::fail(std::string&& what, Origin at, Origin other) {
  // Frees the old text, which a move assignment would hand to `what`: nobody destroys that.
  std::string().swap(failure_.what);
  failure_.what.swap(what);
  failure_.block = block->index;
  failure_.thread = lane->index;
  failure_.of_thread = true;
  failure_.at = at;
  failure_.other = other;
  failure_.set = true;
  Fiber::suspend();
  __builtin_unreachable();
}

void Executor::fail_block(const Block& b, std::string what) {
  failure_.what = std::move(what);
  failure_.block = b.index;
  failure_.set = true;
}

// Every stack in use is forgotten as it stands.
void Executor::drop_all() {
  idle_.clear();
  for (const auto& fiber : fibers_) {
    fiber->forget();
    idle_.push_back(fiber.get());
  }
}

void Executor::throw_failure() {
  drop_all();
  throw Error(describe(kernel_title(launch->kernel), failure_));
}

}  // namespace ek::simt
