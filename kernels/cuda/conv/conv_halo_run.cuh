#pragma once
// Picks the tile of conv_halo.cuh for a problem and launches it; for the files that make instances
// of it, one an atom, which compile side by side.
#include "kernels/base/arguments.h"
#include "kernels/cuda/conv/conv_halo.cuh"

namespace ek::kernels::EK_TARGET {

template <class Atom, int M, int N, bool k3x3, class Prologue, class Epilogue>
void launch_halo(Stream stream, const ConvProblem& p, const HaloPlan& plan,
                 const ConvSources<typename Atom::Element>& sources, typename Atom::Element* out,
                 const Prologue& prologue, const Epilogue& epilogue) {
  const std::int64_t high = std::int64_t(p.pack.groups) * plan.column_tiles;
  require_argument(plan.tiles() < (std::int64_t(1) << 31),
                   "conv2d: outputs for 2^31 tiles at most expected", plan.tiles());
  require_argument(high < 65536, "conv2d: groups and channels for 65535 tiles expected", high);
  require_argument(
      plan.shared_bytes <= kMostSharedBytes,
      "conv2d, version halo: a tile with its halo in 162 KiB of shared memory expected",
      plan.shared_bytes);
  launch<&conv_halo<Atom, M, N, k3x3, Prologue, Epilogue>>(
      {dim3(unsigned(plan.tiles()), unsigned(high), unsigned(p.classes())), dim3(kHaloThreads),
       std::size_t(plan.shared_bytes), stream},
      p, plan, sources, out, prologue, epilogue);
}

// The plan says which instance: 4 rows a warp and 1 block of channels, or 2 of each.
template <class Atom, class Prologue, class Epilogue>
void run_halo(Stream stream, const ConvProblem& p,
              const ConvSources<typename Atom::Element>& sources, typename Atom::Element* out,
              const Prologue& prologue, const Epilogue& epilogue) {
  const HaloPlan plan = halo_plan<typename Atom::Element>(p, sources.count);
  const bool is_3x3 = p.kernel_h == 3 && p.kernel_w == 3 && p.stride_h == 1 && p.stride_w == 1;
  const auto run = [&](auto rows, auto blocks, auto of_3x3) {
    launch_halo<Atom, rows.value, blocks.value, of_3x3.value>(stream, p, plan, sources, out,
                                                              prologue, epilogue);
  };
  const auto with_tile = [&](auto of_3x3) {
    if (plan.blocks == 1) {
      run(std::integral_constant<int, 4>(), std::integral_constant<int, 1>(), of_3x3);
    } else {
      run(std::integral_constant<int, 2>(), std::integral_constant<int, 2>(), of_3x3);
    }
  };
  is_3x3 ? with_tile(std::true_type()) : with_tile(std::false_type());
}

}  // namespace ek::kernels::EK_TARGET
