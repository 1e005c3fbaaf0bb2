#include <fmt/format.h>

#include <bit>

#include "kernels/base/error.h"
#include "kernels/simt/check/checked.h"
#include "kernels/simt/check/messages.h"
#include "kernels/simt/executor.h"

// Barriers and everything warp-wide: the last thread to arrive does the work for all, so an
// operation that not every thread reaches is found by itself.
namespace ek::simt {

Executor& running_executor(const char* primitive) {
  require(current != nullptr, "simt: {} called outside a kernel", primitive);
  return *current;
}

void fail_kernel(const char* what, Site site) {
  in_kernel_code = false;
  running_executor(what).fail(what, site);
}

namespace {

bool same(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::string_view(a.file) == b.file);
}

void arrive_at_barrier(Executor& e, int vote, Site site) {
  Block& block = *e.block;
  const std::uint32_t bit = 1u << (e.lane->number % 32);
  if (block.returned > 0) {
    e.fail(fmt::format("at a barrier that {} threads of the block can never reach: they have "
                       "returned",
                       block.returned),
           site);
  }
  if (block.arrived > 0 && !same(site, block.barrier_site)) {
    std::string what = fmt::format("at a barrier while {} threads wait at another one, {}",
                                   block.arrived, show(block.barrier_site));
    e.fail(std::move(what), site);
  }
  block.barrier_site = site;
  block.votes += vote;
  ++block.arrived;
  e.warp->at_barrier |= bit;
  if (block.arrived < block.threads) {
    e.wait();
    return;
  }
  block.vote_result = block.votes;
  block.votes = 0;
  block.arrived = 0;
  for (unsigned w = 0; w < (block.threads + 31) / 32; ++w) {
    e.make_runnable(block.warps[w], block.warps[w].at_barrier);
    block.warps[w].at_barrier = 0;
  }
  if (checked) tick_block(block);
}

void check_mask(Executor& e, const char* name, std::uint32_t mask, Site site) {
  const std::uint32_t bit = 1u << (e.lane->number % 32);
  const Warp& warp = *e.warp;
  if (!(mask & bit)) {
    e.fail(fmt::format("{} with a mask {:#x} that leaves out the calling lane {}", name, mask,
                       e.lane->number % 32),
           site);
  }
  if (mask & ~warp.exists) {
    e.fail(fmt::format("{} with a mask {:#x}, but the warp has only the lanes {:#x}", name, mask,
                       warp.exists),
           site);
  }
  if (mask & warp.returned) {
    e.fail(fmt::format("{} that the lanes {:#x} can never reach: they have returned", name,
                       mask & warp.returned),
           site);
  }
}

}  // namespace

void warp_collective(const char* name, std::uint32_t mask, WarpOperation operation, void* argument,
                     Site site) {
  Executor& e = running_executor(name);
  check_mask(e, name, mask, site);
  Warp& warp = *e.warp;
  Lane& lane = *e.lane;
  const std::uint32_t bit = 1u << (lane.number % 32);
  for (std::uint32_t rest = mask & warp.at_operation; rest != 0; rest &= rest - 1) {
    const Lane& other = warp.lanes[std::size_t(std::countr_zero(rest))];
    if (other.operation == operation && other.mask == mask && same(other.site, site)) continue;
    std::string what =
        fmt::format("{} with mask {:#x} while lane {} waits at {} with mask {:#x}, {}", name, mask,
                    other.number % 32, other.operation_name, other.mask, show(other.site));
    e.fail(std::move(what), site);
  }
  lane.operation = operation;
  lane.operation_name = name;
  lane.mask = mask;
  lane.site = site;
  lane.argument = argument;
  warp.at_operation |= bit;
  if ((warp.at_operation & mask) != mask) {
    e.wait();
    return;
  }
  warp.at_operation &= ~mask;
  operation(warp, mask);
  e.make_runnable(warp, mask);
}

void block_barrier(Site site) {
  const InRuntime guard;
  arrive_at_barrier(running_executor("__syncthreads"), 0, site);
}

int block_vote(bool predicate, Vote vote, Site site) {
  const InRuntime guard;
  Executor& e = running_executor("__syncthreads_count");
  arrive_at_barrier(e, predicate, site);
  const int count = e.block->vote_result;
  if (vote == Vote::any) return count > 0;
  if (vote == Vote::all) return count == int(e.block->threads);
  return count;
}

void warp_barrier(std::uint32_t mask, Site site) {
  const InRuntime guard;
  const auto operation = [](Warp& warp, std::uint32_t lanes) {
    if (checked) tick_warp(warp, lanes);
  };
  warp_collective("__syncwarp", mask, operation, nullptr, site);
}

}  // namespace ek::simt
