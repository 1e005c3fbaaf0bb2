#pragma once
#include "kernels/backend.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/channel_tiles.h"
#include "kernels/error.h"

namespace ek::kernels::cpu {

// The workspace of a reduction over the row blocks of a norm kernel: two doubles per block and
// channel.
struct Partials {
  static std::size_t bytes(const ChannelTiles& tiles) {
    return std::size_t(tiles.blocks * tiles.channels) * 2 * sizeof(double);
  }
  double* first(std::int64_t block) const { return data + block * 2 * channels; }
  double* second(std::int64_t block) const { return first(block) + channels; }

  double* data;
  std::int64_t channels;
};

inline Partials partials_in(const char* op, const ChannelTiles& tiles, Workspace workspace) {
  require(workspace.bytes >= Partials::bytes(tiles),
          "{}: expected a workspace of at least {} bytes for {} x {}, got {}", op,
          Partials::bytes(tiles), tiles.rows, tiles.channels, workspace.bytes);
  return {static_cast<double*>(workspace.data), tiles.channels};
}

// Adds the partial sums of all blocks into those of block 0, in the order of blocks.
inline void sum_partials(const ChannelTiles& tiles, const Partials& partials) {
  for_item_blocks(2 * tiles.channels, tiles.blocks, [&](std::int64_t begin, std::int64_t end) {
    double* total = partials.first(0);
    for (std::int64_t block = 1; block < tiles.blocks; ++block) {
      const double* part = partials.first(block);
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) total[i] += part[i];
    }
  });
}

}  // namespace ek::kernels::cpu
