// Batch statistics and their derivatives; kernels/norm.h states the maths.
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/channel_tiles.h"
#include "kernels/cpu/norm_partials.h"
#include "kernels/norm.h"

namespace ek::kernels {
namespace {

using cpu::ChannelTiles;
using cpu::Lanes;
using cpu::Partials;

// Mean and sum of squared deviations of one block. The second pass finds the block in the cache.
// It takes deviations from a mean rounded to T and corrects for the rounding by their own mean, so
// nothing cancels however far the mean is from zero.
template <class T>
void block_moments(const ChannelTiles& tiles, std::int64_t block, const ChannelTiles::Span& span,
                   const T* y, double* mean, double* m2) {
  const double rows = double(tiles.rows_in(block));
  Lanes<T> sums, pivot, squares;
  sums.clear(span);
  tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < lanes; ++l) sums[l] += y[at + l];
  });
  sums.fold(span, mean);
  pivot.set(span, [&](std::int64_t channel) { return mean[channel - span.first] / rows; });
  sums.clear(span);
  squares.clear(span);
  tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < lanes; ++l) {
      const T d = y[at + l] - pivot[l];
      sums[l] += d;
      squares[l] += d * d;
    }
  });
  sums.fold(span, mean);
  squares.fold(span, m2);
  for (std::int64_t c = 0; c < span.channels; ++c) {
    const double shift = mean[c] / rows;
    m2[c] = std::max(m2[c] - shift * mean[c], 0.0);
    mean[c] = double(pivot[c]) + shift;
  }
}

}  // namespace

template <class B, class T>
std::size_t norm_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return Partials::bytes(ChannelTiles(rows, channels));
}

template <class B, class T>
void channel_stats_forward(Stream, std::int64_t rows, std::int64_t channels, const T* y,
                           Acc<T>* mean, Acc<T>* var, Workspace workspace) {
  require(rows >= 1, "channel_stats_forward: expected at least 1 row, got {}", rows);
  const ChannelTiles tiles(rows, channels);
  const Partials partials = cpu::partials_in("channel_stats_forward", tiles, workspace);
  tiles.for_blocks([&](std::int64_t block, const ChannelTiles::Span& span) {
    block_moments(tiles, block, span, y, partials.first(block) + span.first,
                  partials.second(block) + span.first);
  });
  // Chan, Golub, LeVeque: the moments of a union from those of its parts, in the order of blocks.
  cpu::for_item_blocks(channels, tiles.blocks, [&](std::int64_t begin, std::int64_t end) {
    double* total_mean = partials.first(0);
    double* total_m2 = partials.second(0);
    double seen = double(tiles.rows_in(0));
    for (std::int64_t block = 1; block < tiles.blocks; ++block) {
      const double added = double(tiles.rows_in(block)), share = added / (seen + added);
      const double* block_mean = partials.first(block);
      const double* block_m2 = partials.second(block);
#pragma omp simd
      for (std::int64_t c = begin; c < end; ++c) {
        const double delta = block_mean[c] - total_mean[c];
        total_mean[c] += delta * share;
        total_m2[c] += block_m2[c] + delta * delta * seen * share;
      }
      seen += added;
    }
    for (std::int64_t c = begin; c < end; ++c) {
      mean[c] = Acc<T>(total_mean[c]);
      var[c] = Acc<T>(total_m2[c] / double(rows));
    }
  });
}

template <class B, class T>
void channel_stats_vjp(Stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                       T* dy) {
  const ChannelTiles tiles(rows, channels);
  tiles.for_blocks([&](std::int64_t block, const ChannelTiles::Span& span) {
    Lanes<T> center, constant, slope;
    center.set(span, [&](std::int64_t c) { return mean[c]; });
    constant.set(span, [&](std::int64_t c) { return double(dmean[c]) / double(rows); });
    slope.set(span, [&](std::int64_t c) { return 2 * double(dvar[c]) / double(rows); });
    tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
      if (dy_in) {
#pragma omp simd
        for (std::int64_t l = 0; l < lanes; ++l) {
          dy[at + l] = dy_in[at + l] + (constant[l] + slope[l] * (y[at + l] - center[l]));
        }
      } else {
#pragma omp simd
        for (std::int64_t l = 0; l < lanes; ++l) {
          dy[at + l] = constant[l] + slope[l] * (y[at + l] - center[l]);
        }
      }
    });
  });
}

template <class B, class T>
void channel_stats_jvp(Stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const T* y_tangent, Acc<T>* mean_tangent,
                       Acc<T>* var_tangent, Workspace workspace) {
  require(rows >= 1, "channel_stats_jvp: expected at least 1 row, got {}", rows);
  const ChannelTiles tiles(rows, channels);
  const Partials partials = cpu::partials_in("channel_stats_jvp", tiles, workspace);
  tiles.for_blocks([&](std::int64_t block, const ChannelTiles::Span& span) {
    Lanes<T> center, sums, products;
    center.set(span, [&](std::int64_t c) { return mean[c]; });
    sums.clear(span);
    products.clear(span);
    tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
#pragma omp simd
      for (std::int64_t l = 0; l < lanes; ++l) {
        sums[l] += y_tangent[at + l];
        products[l] += (y[at + l] - center[l]) * y_tangent[at + l];
      }
    });
    sums.fold(span, partials.first(block) + span.first);
    products.fold(span, partials.second(block) + span.first);
  });
  cpu::sum_partials(tiles, partials);
  for (std::int64_t c = 0; c < channels; ++c) {
    mean_tangent[c] = Acc<T>(partials.first(0)[c] / double(rows));
    var_tangent[c] = Acc<T>(2 * partials.second(0)[c] / double(rows));
  }
}

template decltype(norm_workspace_bytes<Cpu, float>) norm_workspace_bytes<Cpu, float>;
template decltype(norm_workspace_bytes<Cpu, double>) norm_workspace_bytes<Cpu, double>;
template decltype(channel_stats_forward<Cpu, float>) channel_stats_forward<Cpu, float>;
template decltype(channel_stats_forward<Cpu, double>) channel_stats_forward<Cpu, double>;
template decltype(channel_stats_vjp<Cpu, float>) channel_stats_vjp<Cpu, float>;
template decltype(channel_stats_vjp<Cpu, double>) channel_stats_vjp<Cpu, double>;
template decltype(channel_stats_jvp<Cpu, float>) channel_stats_jvp<Cpu, float>;
template decltype(channel_stats_jvp<Cpu, double>) channel_stats_jvp<Cpu, double>;

}  // namespace ek::kernels
