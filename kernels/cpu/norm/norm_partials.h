#pragma once
#include "kernels/base/backend.h"
#include "kernels/base/error.h"
#include "kernels/cpu/blocks.h"

namespace ek::kernels::cpu {

// What a reduction over the rows keeps of its parts (blocks of a kernel, or slices of a batch):
// two doubles per part and channel, a sum and a sum, or a mean and a sum of squared deviations.
struct Partials {
  static std::size_t bytes(std::int64_t parts, std::int64_t channels) {
    return std::size_t(parts * channels) * 2 * sizeof(double);
  }
  double* first(std::int64_t part) const { return data + part * 2 * channels; }
  double* second(std::int64_t part) const { return first(part) + channels; }

  double* data;
  std::int64_t parts, channels;
};

inline Partials partials_in(const char* op, std::int64_t parts, std::int64_t channels,
                            Workspace workspace) {
  require(workspace.bytes >= Partials::bytes(parts, channels),
          "{}: expected a workspace of at least {} bytes for {} parts of {} channels, got {}", op,
          Partials::bytes(parts, channels), parts, channels, workspace.bytes);
  return {static_cast<double*>(workspace.data), parts, channels};
}

// Adds the sums of all parts into those of part 0, in the order of parts.
inline void sum_partials(const Partials& partials) {
  const std::int64_t width = 2 * partials.channels;
  for_item_blocks(width, partials.parts, [=](std::int64_t begin, std::int64_t end) {
    double* total = partials.first(0);
    for (std::int64_t part = 1; part < partials.parts; ++part) {
      const double* added = partials.first(part);
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) total[i] += added[i];
    }
  });
}

// Means and sums of squared deviations of two sets of rows, [channels], into those of their union,
// which replace the first. Source: Chan, Golub, LeVeque.
inline void merge_moments(double rows, double* mean, double* m2, double added_rows,
                          const double* added_mean, const double* added_m2, std::int64_t channels) {
  const double share = added_rows / (rows + added_rows);
#pragma omp simd
  for (std::int64_t c = 0; c < channels; ++c) {
    const double delta = added_mean[c] - mean[c];
    mean[c] += delta * share;
    m2[c] += added_m2[c] + delta * delta * rows * share;
  }
}

// Merges the moments of all parts into those of part 0, in the order of parts. rows_of(part) is the
// number of rows behind each.
template <class RowsOf>
void merge_partials(const Partials& partials, const RowsOf& rows_of) {
  for_item_blocks(partials.channels, 2 * partials.parts, [&](std::int64_t begin, std::int64_t end) {
    double seen = double(rows_of(0));
    for (std::int64_t part = 1; part < partials.parts; ++part) {
      const double added = double(rows_of(part));
      merge_moments(seen, partials.first(0) + begin, partials.second(0) + begin, added,
                    partials.first(part) + begin, partials.second(part) + begin, end - begin);
      seen += added;
    }
  });
}

}  // namespace ek::kernels::cpu
