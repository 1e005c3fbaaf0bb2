#pragma once
// Passes over tensors [rows, channels] whose coefficients or sums belong to channels, each in a
// plain schedule (the teaching rung) and a tuned one; norm_stats.cu and norm_act.cu say what they
// compute.
//
// A pass is a struct Op of trivial members with
//   Element, Channel            the stored type; what an element needs to know of its channel
//   channels<N>(c, begin, end, Channel*)    of N channels from c on, for work on rows [begin, end)
// A map has   run<N>(i, const Channel*)     the N elements from offset i on
// A reduction run<N>(i, const Channel*, first, second)     the same, and adds to N + N sums;
//             part(channel, rows, first, second) -> Moments        of so many rows
//             merge(rows, moments, more_rows, more) -> Moments     of both, the first ones first
//             finish(c, moments)                                   writes what belongs to channel c
// Sums are in the accumulation type over the rows of one part, and in double between parts. Their
// order depends on the shape and on whether the pointers allow packs, on nothing else.
#include <algorithm>
#include <bit>

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/packs.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kChannelThreads = 256;

// Two numbers per channel: a sum and a sum, or a mean and a sum of squared deviations.
struct Moments {
  double first, second;
};

// How many elements of T make 16 bytes.
template <class T>
constexpr int kPack = 16 / int(sizeof(T));

// The rows are cut into parts of about 8192 elements, one per block: by shape alone.
struct RowParts {
  std::int64_t rows, channels, rows_per_part, parts;

  RowParts(std::int64_t rows, std::int64_t channels) : rows(rows), channels(channels) {
    const std::int64_t wanted = std::clamp<std::int64_t>(rows * channels / 8192, 1, 1024);
    rows_per_part = std::max<std::int64_t>((rows + wanted - 1) / wanted, 1);
    parts = std::max<std::int64_t>((rows + rows_per_part - 1) / rows_per_part, 1);
  }
  __device__ std::int64_t begin_of(std::int64_t part) const { return part * rows_per_part; }
  __device__ std::int64_t end_of(std::int64_t part) const {
    return part == parts - 1 ? rows : (part + 1) * rows_per_part;
  }
  std::size_t bytes() const { return std::size_t(parts * channels) * sizeof(Moments); }
};

// ---- maps ----

// One thread, one element.
template <class Op>
__global__ void __launch_bounds__(kChannelThreads) map_plain(RowParts shape, Op op) {
  const std::int64_t count = shape.rows * shape.channels;
  const std::int64_t threads = std::int64_t(gridDim.x) * blockDim.x;
  for (std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += threads) {
    typename Op::Channel channel;
    op.template channels<1>(i % shape.channels, 0, shape.rows, &channel);
    op.template run<1>(i, &channel);
  }
}

// Where a thread of the tuned kernels works: N channels from `channel` on, every `lines`-th row
// from `line` on. Neighbours take neighbouring packs of a row, then go on in the next row.
template <int N>
struct Seat {
  int width, lines, group, line;
  std::int64_t channel;
  bool taken;

  __device__ explicit Seat(std::int64_t channels) {
    const std::int64_t groups = channels / N;
    width = int(groups < kChannelThreads ? groups : kChannelThreads);
    lines = kChannelThreads / width;
    group = int(threadIdx.x) % width;
    line = int(threadIdx.x) / width;
    channel = (std::int64_t(blockIdx.y) * width + group) * N;
    taken = line < lines && channel < channels;
  }
};

// One block, one part of the rows; coefficients stay in registers.
template <class Op, int N>
__global__ void __launch_bounds__(kChannelThreads) map_rows(RowParts shape, Op op) {
  const Seat<N> seat(shape.channels);
  if (!seat.taken) return;
  const std::int64_t begin = shape.begin_of(blockIdx.x), end = shape.end_of(blockIdx.x);
  typename Op::Channel channels[N] = {};
  op.template channels<N>(seat.channel, begin, end, channels);
  for (std::int64_t row = begin + seat.line; row < end; row += seat.lines) {
    op.template run<N>(row * shape.channels + seat.channel, channels);
  }
}

// The versions of `function` are "plain" and "rows", which serves channels and addresses of whole
// packs and runs wherever it does.
template <class Op>
void map_channels(const char* function, Stream stream, std::int64_t rows, std::int64_t channels,
                  bool aligned, const Op& op) {
  if (rows * channels == 0) return;
  constexpr int N = kPack<typename Op::Element>;
  const RowParts shape(rows, channels);
  const dim3 threads(kChannelThreads);
  const auto again = [&] { map_channels(function, stream, rows, channels, aligned, op); };
  if (tuned(call_of<typename Op::Element>(function, {rows, channels, aligned}),
            "norm: expected channels and addresses of whole 16 bytes for 'rows'",
            aligned && channels % N == 0, again)) {
    const std::int64_t across = (channels / N + kChannelThreads - 1) / kChannelThreads;
    launch<&map_rows<Op, N>>({dim3(unsigned(shape.parts), unsigned(across)), threads, 0, stream},
                             shape, op);
  } else {
    const std::int64_t blocks = (rows * channels + kChannelThreads - 1) / kChannelThreads;
    launch<&map_plain<Op>>(
        {dim3(unsigned(std::min<std::int64_t>(blocks, 1 << 16))), threads, 0, stream}, shape, op);
  }
}

// ---- reductions ----

// One thread, one channel, all rows: one launch, for few rows.
template <class Op>
__global__ void __launch_bounds__(kChannelThreads) reduce_plain(RowParts shape, Op op) {
  const std::int64_t c = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= shape.channels) return;
  typename Op::Channel channel;
  op.template channels<1>(c, 0, shape.rows, &channel);
  Acc<typename Op::Element> first = 0, second = 0;
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    op.template run<1>(row * shape.channels + c, &channel, &first, &second);
  }
  op.finish(c, op.part(channel, shape.rows, first, second));
}

// Sums of every thread, [N][threads].
template <class A, int N>
struct ThreadSums {
  SharedArray<A, N * kChannelThreads> first, second;
};

// One block, one part of the rows: each thread its own rows, then a tree over the lines.
// partials [parts, channels].
template <class Op, int N>
__global__ void __launch_bounds__(kChannelThreads)
    reduce_rows(RowParts shape, Op op, Moments* partials) {
  using A = Acc<typename Op::Element>;
  auto& sums = shared_memory<ThreadSums<A, N>>();
  const Seat<N> seat(shape.channels);
  const std::int64_t begin = shape.begin_of(blockIdx.x), end = shape.end_of(blockIdx.x);
  const int t = int(threadIdx.x);
  typename Op::Channel channels[N] = {};
  A first[N] = {}, second[N] = {};
  if (seat.taken) {
    op.template channels<N>(seat.channel, begin, end, channels);
    for (std::int64_t row = begin + seat.line; row < end; row += seat.lines) {
      op.template run<N>(row * shape.channels + seat.channel, channels, first, second);
    }
  }
#pragma unroll
  for (int j = 0; j < N; ++j) {
    sums.first[j * kChannelThreads + t] = first[j];
    sums.second[j * kChannelThreads + t] = second[j];
  }
  for (int half = int(std::bit_ceil(unsigned(seat.lines))) / 2; half > 0; half /= 2) {
    __syncthreads();
    if (seat.line >= half || seat.line + half >= seat.lines) continue;
    const int other = t + half * seat.width;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      sums.first[j * kChannelThreads + t] += sums.first[j * kChannelThreads + other];
      sums.second[j * kChannelThreads + t] += sums.second[j * kChannelThreads + other];
    }
  }
  if (!seat.taken || seat.line > 0) return;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    partials[std::int64_t(blockIdx.x) * shape.channels + seat.channel + j] =
        op.part(channels[j], end - begin, sums.first[j * kChannelThreads + t],
                sums.second[j * kChannelThreads + t]);
  }
}

// One warp, one channel: each lane merges every 32nd part, then a tree over the lanes.
template <class Op>
__global__ void __launch_bounds__(kChannelThreads)
    merge_parts(RowParts shape, Op op, const Moments* partials) {
  const int lane = int(threadIdx.x) % 32;
  const std::int64_t c = std::int64_t(blockIdx.x) * (kChannelThreads / 32) + int(threadIdx.x) / 32;
  if (c >= shape.channels) return;
  double rows = 0;
  Moments total = {0, 0};
  const auto merge = [&](double more_rows, const Moments& more) {
    if (more_rows == 0) return;
    total = rows == 0 ? more : op.merge(rows, total, more_rows, more);
    rows += more_rows;
  };
  for (std::int64_t part = lane; part < shape.parts; part += 32) {
    merge(double(shape.end_of(part) - shape.begin_of(part)), partials[part * shape.channels + c]);
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const double more_rows = __shfl_down_sync(0xFFFFFFFF, rows, distance);
    const Moments more = {__shfl_down_sync(0xFFFFFFFF, total.first, distance),
                          __shfl_down_sync(0xFFFFFFFF, total.second, distance)};
    merge(more_rows, more);
  }
  if (lane == 0) op.finish(c, total);
}

constexpr std::int64_t kFewRows = 32;  // up to here the plain reduction runs

template <class Op, int N>
void reduce_in_parts(Stream stream, const RowParts& shape, const Op& op, Moments* partials) {
  using Sums = ThreadSums<Acc<typename Op::Element>, N>;
  const std::int64_t across = (shape.channels / N + kChannelThreads - 1) / kChannelThreads;
  launch<&reduce_rows<Op, N>>(
      {dim3(unsigned(shape.parts), unsigned(across)), dim3(kChannelThreads), sizeof(Sums), stream},
      shape, op, partials);
  const std::int64_t warps = kChannelThreads / 32;
  launch<&merge_parts<Op>>(
      {dim3(unsigned((shape.channels + warps - 1) / warps)), dim3(kChannelThreads), 0, stream},
      shape, op, partials);
}

// The versions of `function` are "plain", which runs up to kFewRows rows, and "parts", which runs
// above and serves any number. workspace: RowParts(rows, channels).bytes().
template <class Op>
void reduce_channels(const char* function, Stream stream, std::int64_t rows, std::int64_t channels,
                     bool aligned, const Op& op, Workspace workspace) {
  if (channels == 0) return;
  constexpr int N = kPack<typename Op::Element>;
  const RowParts shape(rows, channels);
  auto* partials = static_cast<Moments*>(workspace.data);
  int version = named_version(function);
  if (version < 0) {
    version = chosen(
        call_of<typename Op::Element>(function, {rows, channels, aligned}), 3, rows > kFewRows,
        [&] { reduce_channels(function, stream, rows, channels, aligned, op, workspace); });
  }
  if (version == 0) {
    const std::int64_t blocks = (channels + kChannelThreads - 1) / kChannelThreads;
    launch<&reduce_plain<Op>>({dim3(unsigned(blocks)), dim3(kChannelThreads), 0, stream}, shape,
                              op);
  } else if (aligned && channels % N == 0) {
    reduce_in_parts<Op, N>(stream, shape, op, partials);
  } else {
    reduce_in_parts<Op, 1>(stream, shape, op, partials);
  }
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
