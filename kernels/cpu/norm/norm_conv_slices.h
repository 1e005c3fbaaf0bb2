#pragma once
#include <algorithm>

#include "kernels/cpu/conv/conv_slices.h"
#include "kernels/cpu/norm/norm_slices.h"
#include "kernels/cpu/scratch.h"
#include "kernels/norm_conv.h"

// What the three passes of norm_conv share: how a batch is cut, and where a slice lies.
namespace ek::kernels::cpu {

// Slices whose tensors stay in a core's second-level cache from one stage of a pass to the next
// (eight tensors in the backward pass), and at least eight of them for as many threads. bf16 with
// half as much took 4 % less for a step, float32 2 % more.
template <class T>
BatchSlices norm_conv_slices(const Conv2dShape& s) {
  constexpr std::int64_t cache_bytes = sizeof(T) == 2 ? 1 << 20 : 2 << 20;
  const std::int64_t image = std::max(s.input_size(), s.output_size()) / s.batch;
  const std::int64_t images = cache_bytes / (8 * image * std::int64_t(sizeof(T)));
  const std::int64_t count = block_count(s.batch, std::max<std::int64_t>(images, 1));
  return {s.batch, std::min(s.batch, std::max<std::int64_t>(count, 8))};
}

// The offsets and rows of a slice within the input and the output of the convolution.
struct SliceRows {
  SliceRows(const Conv2dShape& s, const BatchSlices& slices, std::int64_t slice)
      : in_rows(slices.size(slice) * s.in_h * s.in_w),
        out_rows(slices.size(slice) * s.out_h() * s.out_w()),
        in(slices.begin(slice) * s.in_h * s.in_w * s.in_c),
        out(slices.begin(slice) * s.out_h() * s.out_w() * s.out_c) {}

  std::int64_t in_rows, out_rows;  // pixels
  std::int64_t in, out;            // first element
};

inline std::int64_t out_rows_of(const Conv2dShape& s) {
  return s.batch * s.out_h() * s.out_w();
}

// As much memory per thread as the longest slice of the input or the output takes.
template <class T>
std::size_t in_slice_bytes(const Conv2dShape& s, const BatchSlices& slices) {
  return padded_bytes<T>(slices.size(0) * s.in_h * s.in_w * s.in_c);
}
template <class T>
std::size_t out_slice_bytes(const Conv2dShape& s, const BatchSlices& slices) {
  return padded_bytes<T>(slices.size(0) * s.out_h() * s.out_w() * s.out_c);
}

template <class T>
NormParams<T> norm_params(const NormConvShape& s, const NormConvInput<T>& input,
                          std::int64_t rows) {
  return {rows, s.conv.in_c, s.eps, s.relu, input.mean, input.var, input.gamma, input.beta};
}

template <class T>
const T* at_offset(const T* data, std::int64_t offset) {
  return data ? data + offset : nullptr;
}
template <class T>
T* at_offset(T* data, std::int64_t offset) {
  return data ? data + offset : nullptr;
}

// The activations of a slice: y where nothing is normalised, what was kept, or the same again in
// memory of the thread.
template <class T>
const T* slice_activation(const NormConvShape& s, const NormConvInput<T>& input, const T* kept,
                          const SliceRows& rows, Scratch& own) {
  if (!s.normalizes) return input.y + rows.in;
  if (kept) return kept + rows.in;
  T* act = own.take<T>(rows.in_rows * s.conv.in_c);
  norm_act_forward<Cpu, T>({}, norm_params(s, input, rows.in_rows), input.y + rows.in,
                           at_offset(input.shortcut, rows.in), act);
  return act;
}

// The workspace of a pass: one block for the reductions, then one per thread.
struct NormConvMemory {
  std::size_t shared_bytes, thread_bytes;

  std::size_t total(const BatchSlices& slices) const {
    return shared_bytes + std::size_t(slice_threads(slices)) * thread_bytes;
  }
};

// Room for the partial sums of a reduction over slices.
inline std::size_t partials_bytes(const BatchSlices& slices, std::int64_t channels) {
  return padded_bytes<char>(std::int64_t(Partials::bytes(slices.count, channels)));
}
inline Partials take_partials(Scratch& scratch, const BatchSlices& slices, std::int64_t channels) {
  return {scratch.take<double>(2 * slices.count * channels), slices.count, channels};
}

}  // namespace ek::kernels::cpu
