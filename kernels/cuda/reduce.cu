// The part of kernels/reduce.h that follows a shape: broadcast and its transpose, sum_to.
#include "kernels/reduce.h"

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/packs.cuh"

// One thread, one output, is the teaching rung of both; it stays for what packs and teams do not
// fit. Sums are taken in double and rounded once, in an order that depends on the shape alone. No
// workspace: the terms of one output never leave a block, so a sum of everything has one block's
// share of the device's bandwidth.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

// A set of dimensions with strides into one of the two tensors, outermost first; neighbours that
// one stride walks through are taken together.
struct Axes {
  int rank = 0;
  std::int64_t extent[BroadcastShape::rank] = {}, stride[BroadcastShape::rank] = {};
  std::int64_t size = 1;

  void push_front(std::int64_t new_extent, std::int64_t new_stride) {
    size *= new_extent;
    if (new_extent == 1) return;
    if (rank > 0 && new_stride == extent[0] * stride[0]) {
      extent[0] *= new_extent;
      return;
    }
    for (int d = rank++; d > 0; --d) {
      extent[d] = extent[d - 1];
      stride[d] = stride[d - 1];
    }
    extent[0] = new_extent;
    stride[0] = new_stride;
  }
  // Where element `index` of the row-major walk over these dimensions lies.
  __device__ std::int64_t offset(std::int64_t index) const {
    std::int64_t at = 0;
#pragma unroll
    for (int d = BroadcastShape::rank - 1; d > 0; --d) {
      if (d >= rank) continue;
      at += index % extent[d] * stride[d];
      index /= extent[d];
    }
    return rank > 0 ? at + index * stride[0] : 0;
  }
};

struct Plan {
  Axes large;         // all dimensions, strides into the small tensor (0 where it has extent 1)
  Axes kept, summed;  // by kind, strides into the large tensor
  std::int64_t inner_stride = 0;  // of the innermost dimension of `large`
};

// `expected` is the message where a dimension of the small tensor is neither 1 nor that of the
// large one.
Plan plan_of(const char* expected, const BroadcastShape& shape) {
  Plan plan;
  std::int64_t large_stride = 1, small_stride = 1;
  for (int d = BroadcastShape::rank - 1; d >= 0; --d) {
    const std::int64_t small = shape.small_shape[d], extent = shape.large_shape[d];
    require_argument(extent >= 0 && (small == extent || small == 1), expected, small);
    const bool kept = small == extent;
    plan.large.push_front(extent, kept ? small_stride : 0);
    (kept ? plan.kept : plan.summed).push_front(extent, large_stride);
    large_stride *= extent;
    small_stride *= small;
  }
  if (plan.large.rank > 0) plan.inner_stride = plan.large.stride[plan.large.rank - 1];
  return plan;
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    broadcast_plain(std::int64_t count, Axes axes, const T* small, T* large, T scale) {
  for (std::int64_t i = first_item(); i < count; i += all_items()) {
    large[i] = scale * small[axes.offset(i)];
  }
}

// Packs that lie in one run of the innermost dimension, contiguous in the small tensor or one
// element of it.
template <bool contiguous, class T>
__global__ void __launch_bounds__(kItemThreads)
    broadcast_packed(std::int64_t packs, Axes axes, const T* small, T* large, T scale) {
  using Pack = Pack16<T>;
  for (std::int64_t i = first_item(); i < packs; i += all_items()) {
    const T* from = small + axes.offset(i * Pack::size);
    Pack pack;
    if constexpr (contiguous) {
      pack = load_vec<Pack>(from);
#pragma unroll
      for (int j = 0; j < Pack::size; ++j) pack.values[j] = scale * pack.values[j];
    } else {
      const T value = scale * *from;
#pragma unroll
      for (int j = 0; j < Pack::size; ++j) pack.values[j] = value;
    }
    store_vec(large + i * Pack::size, pack);
  }
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    sum_plain(Axes kept, Axes summed, const T* large, T* small, T scale) {
  for (std::int64_t o = first_item(); o < kept.size; o += all_items()) {
    const T* from = large + kept.offset(o);
    double sum = 0;
    for (std::int64_t t = 0; t < summed.size; ++t) sum += double(from[summed.offset(t)]);
    small[o] = scale * T(sum);
  }
}

// Neighbouring outputs are neighbours in the large tensor: a block adds 32 of them, every warp a
// part of the terms.
constexpr int kWarps = 16;
struct Tile {
  SharedArray<double, 32 * kWarps> sums;
};
template <class T>
__global__ void __launch_bounds__(32 * kWarps)
    sum_columns(Axes kept, Axes summed, const T* large, T* small, T scale) {
  Tile& tile = shared_memory<Tile>();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const std::int64_t o = std::int64_t(blockIdx.x) * 32 + lane;
  double sum = 0;
  if (o < kept.size) {
    const T* from = large + kept.offset(o);
    for (std::int64_t t = warp; t < summed.size; t += kWarps) {
      sum += double(from[summed.offset(t)]);
    }
  }
  tile.sums[int(threadIdx.x)] = sum;
  __syncthreads();
  if (warp > 0 || o >= kept.size) return;
  for (int w = 1; w < kWarps; ++w) sum += tile.sums[w * 32 + lane];
  small[o] = scale * T(sum);
}

// Neighbouring terms are neighbours in the large tensor: a warp or a block adds those of one
// output.
template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    sum_by_team(Axes kept, Axes summed, const T* large, T* small, T scale) {
  constexpr int step = TeamType::block_threads / TeamType::teams_per_block;
  for (std::int64_t o = TeamType::first_row(); o < kept.size; o += TeamType::all_teams()) {
    const T* from = large + kept.offset(o);
    double sum = 0;
    for (std::int64_t t = TeamType::rank(); t < summed.size; t += step) {
      sum += double(from[summed.offset(t)]);
    }
    sum = TeamType::template reduce<Sum>(sum);
    if (TeamType::rank() == 0) small[o] = scale * T(sum);
  }
}

constexpr std::int64_t kFewTerms = 8;      // one thread adds them
constexpr std::int64_t kWarpTerms = 2048;  // one warp adds as many, a block more
using SumTeam = Team<1024>;

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void broadcast(Stream stream, const BroadcastShape& shape, const T* small, T* large, double scale) {
  using namespace EK_TARGET;
  const Axes axes =
      plan_of("broadcast: expected dimensions of the small tensor to be 1 or the large one's",
              shape)
          .large;
  if (axes.size == 0) return;
  constexpr int pack = Pack16<T>::size;
  // Every run starts at a multiple of a pack, in both tensors.
  const std::int64_t inner = axes.rank > 0 ? axes.extent[axes.rank - 1] : 1;
  const bool contiguous = axes.rank > 0 && axes.stride[axes.rank - 1] == 1;
  const bool packed =
      tuned("broadcast", "broadcast: expected rows and addresses of whole 16 bytes for 'packed'",
            inner % pack == 0 && aligned_to_16(large) && (!contiguous || aligned_to_16(small)));
  if (!packed) {
    launch<&broadcast_plain<T>>(for_items(axes.size, stream), axes.size, axes, small, large,
                                T(scale));
  } else if (contiguous) {
    launch<&broadcast_packed<true, T>>(for_items(axes.size / pack, stream), axes.size / pack, axes,
                                       small, large, T(scale));
  } else {
    launch<&broadcast_packed<false, T>>(for_items(axes.size / pack, stream), axes.size / pack, axes,
                                        small, large, T(scale));
  }
}

template <class B, class T>
void sum_to(Stream stream, const BroadcastShape& shape, const T* large, T* small, double scale) {
  using namespace EK_TARGET;
  const Plan plan =
      plan_of("sum_to: expected dimensions of the small tensor to be 1 or the large one's", shape);
  const Axes &kept = plan.kept, &summed = plan.summed;
  if (kept.size == 0) return;
  // All serve every shape; the rule follows what lies side by side in the large tensor.
  enum { plain, columns, warp, block };
  int version = named_version("sum_to");
  if (version < 0) {
    const int rule = summed.size < kFewTerms     ? plain
                     : plan.inner_stride != 0    ? columns
                     : summed.size <= kWarpTerms ? warp
                                                 : block;
    version = chosen(call_of<T>("sum_to", {kept.size, summed.size, plan.inner_stride}), 15, rule,
                     [&] { sum_to<B, T>(stream, shape, large, small); });
  }
  if (version == plain) {
    launch<&sum_plain<T>>(for_items(kept.size, stream), kept, summed, large, small, T(scale));
  } else if (version == columns) {
    const Launch blocks{dim3(unsigned((kept.size + 31) / 32)), dim3(32 * kWarps), sizeof(Tile),
                        stream};
    launch<&sum_columns<T>>(blocks, kept, summed, large, small, T(scale));
  } else if (version == warp) {
    launch<&sum_by_team<WarpTeam, T>>(for_rows<WarpTeam>(kept.size, stream), kept, summed, large,
                                      small, T(scale));
  } else {
    launch<&sum_by_team<SumTeam, T>>(for_rows<SumTeam>(kept.size, stream), kept, summed, large,
                                     small, T(scale));
  }
}

using EK_TARGET::Backend;
template decltype(broadcast<Backend, float>) broadcast<Backend, float>;
template decltype(broadcast<Backend, double>) broadcast<Backend, double>;
template decltype(sum_to<Backend, float>) sum_to<Backend, float>;
template decltype(sum_to<Backend, double>) sum_to<Backend, double>;

}  // namespace ek::kernels
