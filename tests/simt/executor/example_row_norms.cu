#include "kernels/cuda/base/team.cuh"
#include "tests/simt/executor/example_row_norms.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

// One thread, one row: the teaching rung, and for rows of a few columns.
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    row_norms_plain(std::int64_t rows, std::int64_t columns, const T* x, T* norms) {
  for (std::int64_t i = first_item(); i < rows; i += all_items()) {
    T sum = 0;
    for (std::int64_t j = 0; j < columns; ++j) sum += x[i * columns + j] * x[i * columns + j];
    norms[i] = std::sqrt(sum);
  }
}

// One warp, one row: lanes run along it, so that they read side by side.
template <class T>
__global__ void __launch_bounds__(WarpTeam::block_threads)
    row_norms_by_warp(std::int64_t rows, std::int64_t columns, const T* x, T* norms) {
  for (std::int64_t i = WarpTeam::first_row(); i < rows; i += WarpTeam::all_teams()) {
    T sum = 0;
    for (std::int64_t j = WarpTeam::rank(); j < columns; j += 32) {
      sum += x[i * columns + j] * x[i * columns + j];
    }
    sum = WarpTeam::reduce<Sum>(sum);
    if (WarpTeam::rank() == 0) norms[i] = std::sqrt(sum);
  }
}

}  // namespace
}  // namespace EK_TARGET

namespace example {

template <class B, class T>
void row_norms(Stream stream, std::int64_t rows, std::int64_t columns, const T* x, T* norms) {
  using namespace EK_TARGET;
  if (rows == 0) return;
  if (columns < kFewColumns) {
    launch<&row_norms_plain<T>>(for_items(rows, stream), rows, columns, x, norms);
  } else {
    launch<&row_norms_by_warp<T>>(for_rows<WarpTeam>(rows, stream), rows, columns, x, norms);
  }
}

using EK_TARGET::Backend;
template decltype(row_norms<Backend, float>) row_norms<Backend, float>;
template decltype(row_norms<Backend, double>) row_norms<Backend, double>;

}  // namespace example
}  // namespace ek::kernels
