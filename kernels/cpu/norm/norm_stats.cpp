// Batch statistics and their derivatives; kernels/norm.h states the maths.
#include "kernels/cpu/channel_tiles.h"
#include "kernels/cpu/norm/norm_slices.h"

namespace ek::kernels {
namespace cpu {
namespace {

// Mean and sum of squared deviations of the channels of a patch, in one pass: deviations are taken
// from a pivot, the mean of the first part of the rows, and corrected by their own mean. However
// far the mean is from zero nothing cancels, and a pivot off by s costs at most a factor 1 + s^2 /
// var in accuracy: at most the number of rows over the number that the pivot is taken from,
// whatever the numbers.
template <class T>
void patch_moments(const ChannelTiles<T>& tiles, const Patch& patch, const T* y, double* mean,
                   double* m2) {
  Patch sample = patch;
  sample.end = std::min(patch.end, patch.begin + std::max(tiles.rows_per_run, patch.rows() / 8));
  Lanes<T> pivot, sums, squares;
  sums.clear(patch);
  tiles.for_elements(sample, [&, y](std::int64_t i, std::int64_t lane, auto simd) {
    simd.add(simd.load(y + i), sums + lane);
  });
  std::fill_n(mean, patch.channels, 0.0);
  sums.fold(patch, mean);
  pivot.set(patch, [&](std::int64_t c) { return mean[c - patch.first] / double(sample.rows()); });

  sums.clear(patch);
  squares.clear(patch);
  tiles.for_elements(patch, [&, y](std::int64_t i, std::int64_t lane, auto simd) {
    const auto d = simd.load(y + i) - simd.load(pivot + lane);
    simd.add(d, sums + lane);
    simd.add(d * d, squares + lane);
  });
  std::fill_n(mean, patch.channels, 0.0);
  std::fill_n(m2, patch.channels, 0.0);
  sums.fold(patch, mean);
  squares.fold(patch, m2);
  for (std::int64_t c = 0; c < patch.channels; ++c) {
    const double shift = mean[c] / double(patch.rows());
    m2[c] = std::max(m2[c] - shift * mean[c], 0.0);
    mean[c] = double(pivot.value[c]) + shift;
  }
}

}  // namespace

template <class T>
void slice_moments(std::int64_t rows, std::int64_t channels, const T* y, double* mean, double* m2) {
  const ChannelTiles<T> tiles(rows, channels);
  tiles.for_patches(0, [&](const Patch& patch) {
    patch_moments(tiles, patch, y, mean + patch.first, m2 + patch.first);
  });
  double block_mean[ChannelTiles<T>::kLanes], block_m2[ChannelTiles<T>::kLanes];
  for (std::int64_t block = 1; block < tiles.blocks; ++block) {
    tiles.for_patches(block, [&](const Patch& patch) {
      patch_moments(tiles, patch, y, block_mean, block_m2);
      merge_moments(double(patch.begin), mean + patch.first, m2 + patch.first, double(patch.rows()),
                    block_mean, block_m2, patch.channels);
    });
  }
}

template <class T>
void finish_moments(std::int64_t rows, std::int64_t channels, const double* total_mean,
                    const double* total_m2, Acc<T>* mean, Acc<T>* var) {
  for (std::int64_t c = 0; c < channels; ++c) {
    mean[c] = Acc<T>(total_mean[c]);
    var[c] = Acc<T>(total_m2[c] / double(rows));
  }
}

template <class T>
void slice_stats_vjp(std::int64_t rows, std::int64_t total_rows, std::int64_t channels, const T* y,
                     const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                     T* dy) {
  const ChannelTiles<T> tiles(rows, channels);
  const double share = 1 / double(total_rows);
  tiles.for_patches_in_order([&](const Patch& patch) {
    Lanes<T> center, constant, slope;
    center.set(patch, [=](std::int64_t c) { return mean[c]; });
    constant.set(patch, [=](std::int64_t c) { return double(dmean[c]) * share; });
    slope.set(patch, [=](std::int64_t c) { return 2 * double(dvar[c]) * share; });
    const auto term = [&, y](std::int64_t i, std::int64_t lane, auto simd) {
      return simd.load(constant + lane) +
             simd.load(slope + lane) * (simd.load(y + i) - simd.load(center + lane));
    };
    if (dy_in) {
      tiles.for_elements(patch, [&, dy_in, dy](std::int64_t i, std::int64_t lane, auto simd) {
        simd.store(simd.load(dy_in + i) + term(i, lane, simd), dy + i);
      });
    } else {
      tiles.for_elements(patch, [&, dy](std::int64_t i, std::int64_t lane, auto simd) {
        simd.store(term(i, lane, simd), dy + i);
      });
    }
  });
}

template <class T>
void slice_stats_jvp(std::int64_t rows, std::int64_t channels, const T* y, const Acc<T>* mean,
                     const T* y_tangent, double* sums, double* products) {
  const ChannelTiles<T> tiles(rows, channels);
  std::fill_n(sums, channels, 0.0);
  std::fill_n(products, channels, 0.0);
  tiles.for_patches_in_order([&](const Patch& patch) {
    Lanes<T> center, lane_sums, lane_products;
    center.set(patch, [=](std::int64_t c) { return mean[c]; });
    lane_sums.clear(patch);
    lane_products.clear(patch);
    tiles.for_elements(patch, [&, y, y_tangent](std::int64_t i, std::int64_t lane, auto simd) {
      const auto tangent = simd.load(y_tangent + i);
      simd.add(tangent, lane_sums + lane);
      simd.add((simd.load(y + i) - simd.load(center + lane)) * tangent, lane_products + lane);
    });
    lane_sums.fold(patch, sums + patch.first);
    lane_products.fold(patch, products + patch.first);
  });
}

template <class T>
void finish_stats_jvp(std::int64_t total_rows, std::int64_t channels, const double* sums,
                      const double* products, Acc<T>* mean_tangent, Acc<T>* var_tangent) {
  for (std::int64_t c = 0; c < channels; ++c) {
    mean_tangent[c] = Acc<T>(sums[c] / double(total_rows));
    var_tangent[c] = Acc<T>(2 * products[c] / double(total_rows));
  }
}

}  // namespace cpu

using cpu::ChannelTiles;
using cpu::Partials;
using cpu::Patch;

template <class B, class T>
std::size_t norm_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return Partials::bytes(ChannelTiles<T>(rows, channels).blocks, channels);
}

template <class B, class T>
void channel_stats_forward(Stream, std::int64_t rows, std::int64_t channels, const T* y,
                           Acc<T>* mean, Acc<T>* var, Workspace workspace) {
  require(rows >= 1, "channel_stats_forward: expected at least 1 row, got {}", rows);
  const ChannelTiles<T> tiles(rows, channels);
  const Partials partials =
      cpu::partials_in("channel_stats_forward", tiles.blocks, channels, workspace);
  cpu::parallel_for(tiles.blocks, [&](std::int64_t block) {
    cpu::slice_moments(tiles.rows_in(block), channels, y + tiles.begin_of(block) * channels,
                       partials.first(block), partials.second(block));
  });
  cpu::merge_partials(partials, [&](std::int64_t block) { return tiles.rows_in(block); });
  cpu::finish_moments<T>(rows, channels, partials.first(0), partials.second(0), mean, var);
}

template <class B, class T>
void channel_stats_vjp(Stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                       T* dy) {
  const ChannelTiles<T> tiles(rows, channels);
  cpu::parallel_for(tiles.blocks, [&](std::int64_t block) {
    const std::int64_t at = tiles.begin_of(block) * channels;
    cpu::slice_stats_vjp(tiles.rows_in(block), rows, channels, y + at, mean, dmean, dvar,
                         dy_in ? dy_in + at : nullptr, dy + at);
  });
}

template <class B, class T>
void channel_stats_jvp(Stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const T* y_tangent, Acc<T>* mean_tangent,
                       Acc<T>* var_tangent, Workspace workspace) {
  require(rows >= 1, "channel_stats_jvp: expected at least 1 row, got {}", rows);
  const ChannelTiles<T> tiles(rows, channels);
  const Partials partials =
      cpu::partials_in("channel_stats_jvp", tiles.blocks, channels, workspace);
  cpu::parallel_for(tiles.blocks, [&](std::int64_t block) {
    const std::int64_t at = tiles.begin_of(block) * channels;
    cpu::slice_stats_jvp(tiles.rows_in(block), channels, y + at, mean, y_tangent + at,
                         partials.first(block), partials.second(block));
  });
  cpu::sum_partials(partials);
  cpu::finish_stats_jvp<T>(rows, channels, partials.first(0), partials.second(0), mean_tangent,
                           var_tangent);
}

template decltype(cpu::slice_moments<float>) cpu::slice_moments<float>;
template decltype(cpu::slice_moments<double>) cpu::slice_moments<double>;
template decltype(cpu::slice_moments<bf16>) cpu::slice_moments<bf16>;
template decltype(cpu::finish_moments<float>) cpu::finish_moments<float>;
template decltype(cpu::finish_moments<double>) cpu::finish_moments<double>;
template decltype(cpu::finish_moments<bf16>) cpu::finish_moments<bf16>;
template decltype(cpu::slice_stats_vjp<float>) cpu::slice_stats_vjp<float>;
template decltype(cpu::slice_stats_vjp<double>) cpu::slice_stats_vjp<double>;
template decltype(cpu::slice_stats_vjp<bf16>) cpu::slice_stats_vjp<bf16>;
template decltype(cpu::slice_stats_jvp<float>) cpu::slice_stats_jvp<float>;
template decltype(cpu::slice_stats_jvp<double>) cpu::slice_stats_jvp<double>;
template decltype(cpu::slice_stats_jvp<bf16>) cpu::slice_stats_jvp<bf16>;
template decltype(cpu::finish_stats_jvp<float>) cpu::finish_stats_jvp<float>;
template decltype(cpu::finish_stats_jvp<double>) cpu::finish_stats_jvp<double>;
template decltype(cpu::finish_stats_jvp<bf16>) cpu::finish_stats_jvp<bf16>;
template decltype(norm_workspace_bytes<Cpu, float>) norm_workspace_bytes<Cpu, float>;
template decltype(norm_workspace_bytes<Cpu, double>) norm_workspace_bytes<Cpu, double>;
template decltype(norm_workspace_bytes<Cpu, bf16>) norm_workspace_bytes<Cpu, bf16>;
template decltype(channel_stats_forward<Cpu, float>) channel_stats_forward<Cpu, float>;
template decltype(channel_stats_forward<Cpu, double>) channel_stats_forward<Cpu, double>;
template decltype(channel_stats_forward<Cpu, bf16>) channel_stats_forward<Cpu, bf16>;
template decltype(channel_stats_vjp<Cpu, float>) channel_stats_vjp<Cpu, float>;
template decltype(channel_stats_vjp<Cpu, double>) channel_stats_vjp<Cpu, double>;
template decltype(channel_stats_vjp<Cpu, bf16>) channel_stats_vjp<Cpu, bf16>;
template decltype(channel_stats_jvp<Cpu, float>) channel_stats_jvp<Cpu, float>;
template decltype(channel_stats_jvp<Cpu, double>) channel_stats_jvp<Cpu, double>;
template decltype(channel_stats_jvp<Cpu, bf16>) channel_stats_jvp<Cpu, bf16>;

}  // namespace ek::kernels
