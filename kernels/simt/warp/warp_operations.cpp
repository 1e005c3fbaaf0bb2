#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "kernels/simt/executor.h"

// Votes, shuffles and integer reductions of a warp. None of them orders memory (CUDA programming
// guide, warp vote and shuffle functions), so the checked flavour takes no note of them.
namespace ek::simt {

namespace {

template <class F>
void for_lanes(std::uint32_t mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(std::countr_zero(mask));
}

struct BallotArgument {
  bool predicate;
  std::uint32_t result;
};

struct ShuffleArgument {
  std::uint64_t value;
  int source;
  std::uint64_t result;
};

struct ReduceArgument {
  std::uint32_t value;
  Reduce op;
  std::uint32_t result;
};

std::uint32_t reduced(Reduce op, std::uint32_t a, std::uint32_t b) {
  switch (op) {
    case Reduce::add:
      return a + b;
    case Reduce::min_signed:
      return std::uint32_t(std::min(std::int32_t(a), std::int32_t(b)));
    case Reduce::max_signed:
      return std::uint32_t(std::max(std::int32_t(a), std::int32_t(b)));
    case Reduce::min_unsigned:
      return std::min(a, b);
    case Reduce::max_unsigned:
      return std::max(a, b);
    case Reduce::bit_and:
      return a & b;
    case Reduce::bit_or:
      return a | b;
  }
  __builtin_unreachable();
}

// The lane whose value a shuffle brings; the caller's own where CUDA says so.
int source_lane(Shuffle kind, int lane, int operand, int width) {
  const int first = lane / width * width, in_group = lane % width;
  switch (kind) {
    case Shuffle::index:
      return first + (operand & (width - 1));
    case Shuffle::up:
      return in_group - operand < 0 ? lane : lane - operand;
    case Shuffle::down:
      return in_group + operand >= width ? lane : lane + operand;
    case Shuffle::exclusive_or:
      // Into a later group of the warp there is no way; into an earlier one there is.
      return (lane ^ operand) >= first + width ? lane : lane ^ operand;
  }
  __builtin_unreachable();
}

}  // namespace

std::uint32_t ballot(std::uint32_t mask, bool predicate, Site site) {
  const InRuntime guard;
  BallotArgument argument{predicate, 0};
  const auto operation = [](Warp& warp, std::uint32_t lanes) {
    std::uint32_t result = 0;
    for_lanes(lanes, [&](int i) {
      result |= std::uint32_t(warp.argument<BallotArgument>(i).predicate) << i;
    });
    for_lanes(lanes, [&](int i) { warp.argument<BallotArgument>(i).result = result; });
  };
  warp_collective("a vote", mask, operation, &argument, site);
  return argument.result;
}

std::uint64_t shuffle(std::uint32_t mask, std::uint64_t value, Shuffle kind, int operand, int width,
                      Site site) {
  const InRuntime guard;
  Executor& e = running_executor("a shuffle");
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
    e.fail(fmt::format("a shuffle of width {}, expected a power of two up to 32", width), site);
  }
  const int source = source_lane(kind, e.lane->number % 32, operand, width);
  if (source < 0 || source > 31 || !(mask >> source & 1)) {
    e.fail(fmt::format("a shuffle reads lane {}, which is not in its mask {:#x}", source, mask),
           site);
  }
  ShuffleArgument argument{value, source, 0};
  const auto operation = [](Warp& warp, std::uint32_t lanes) {
    for_lanes(lanes, [&](int i) {
      auto& own = warp.argument<ShuffleArgument>(i);
      own.result = warp.argument<ShuffleArgument>(own.source).value;
    });
  };
  warp_collective("a shuffle", mask, operation, &argument, site);
  return argument.result;
}

std::uint32_t warp_reduce(std::uint32_t mask, std::uint32_t value, Reduce op, Site site) {
  const InRuntime guard;
  ReduceArgument argument{value, op, 0};
  const auto operation = [](Warp& warp, std::uint32_t lanes) {
    const int first = std::countr_zero(lanes);
    const Reduce kind = warp.argument<ReduceArgument>(first).op;
    std::uint32_t result = warp.argument<ReduceArgument>(first).value;
    for_lanes(lanes & (lanes - 1), [&](int i) {
      result = reduced(kind, result, warp.argument<ReduceArgument>(i).value);
    });
    for_lanes(lanes, [&](int i) { warp.argument<ReduceArgument>(i).result = result; });
  };
  warp_collective("a warp reduction", mask, operation, &argument, site);
  return argument.result;
}

}  // namespace ek::simt
