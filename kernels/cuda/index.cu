// The part of kernels/reduce.h that follows an index: rows, segments, picks, predictions.
#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/packs.cuh"
#include "kernels/math/argmax.h"
#include "kernels/math/long_sum.h"
#include "kernels/reduce.h"

// One thread, one output, is the teaching rung, and for pick, place and count_correct the only one.
// take_rows moves 16 bytes a thread where rows are aligned to them; segment_sum finds a segment's
// rows together as a block and then adds them in their order, as the CPU does, bit for bit;
// argmax_rows is by thread, warp or block as team.cuh says. Indices that lie outside are undefined,
// but for segment_sum, which skips them; checked builds name those that would be read.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

// V is T, or a pack of it.
template <class V>
__global__ void __launch_bounds__(kItemThreads)
    take_rows_of(std::int64_t count, std::int64_t width, const V* values, const std::int64_t* index,
                 V* out) {
  for (std::int64_t i = first_item(); i < count * width; i += all_items()) {
    const V* from = values + index[i / width] * width + i % width;
    if constexpr (std::is_arithmetic_v<V>) {
      out[i] = *from;
    } else {
      store_vec(out + i, load_vec<V>(from));
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    segment_sum_plain(std::int64_t count, std::int64_t width, std::int64_t segments,
                      const T* values, const std::int64_t* index, T* out) {
  for (std::int64_t o = first_item(); o < segments * width; o += all_items()) {
    math::TermSum<T> sum(T(0), count);
    for (std::int64_t i = 0; i < count; ++i) {
      if (index[i] == o / width) sum.add(values[i * width + o % width]);
    }
    out[o] = sum.value();
  }
}

// Block (x, y): segment x, columns of piece y. It looks at the index kGather rows at a time, writes
// those of its segment to shared memory in their order, and adds them.
constexpr int kGather = 256;
struct Rows {
  SharedArray<int, kGather> found;  // relative to the first of the piece
  SharedArray<int, kGather / 32> of_warp;
};
template <class T>
__global__ void __launch_bounds__(kGather)
    segment_sum_gathered(std::int64_t count, std::int64_t width, const T* values,
                         const std::int64_t* index, T* out) {
  Rows& rows = shared_memory<Rows>();
  const int t = int(threadIdx.x), lane = t % 32, warp = t / 32;
  const std::int64_t segment = blockIdx.x;
  const std::int64_t column = std::int64_t(blockIdx.y) * kGather + t;
  math::TermSum<T> sum(T(0), count);
  for (std::int64_t first = 0; first < count; first += kGather) {
    const bool mine = first + t < count && index[first + t] == segment;
    const unsigned found = __ballot_sync(0xFFFFFFFF, mine);
    if (lane == 0) rows.of_warp[warp] = __popc(found);
    __syncthreads();
    int before = 0, all = 0;
    for (int w = 0; w < kGather / 32; ++w) {
      if (w == warp) before = all;
      all += rows.of_warp[w];
    }
    if (mine) rows.found[before + __popc(found & ((1u << lane) - 1))] = t;
    __syncthreads();
    if (column < width) {
      for (int j = 0; j < all; ++j) sum.add(values[(first + rows.found[j]) * width + column]);
    }
    __syncthreads();
  }
  if (column < width) out[segment * width + column] = sum.value();
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    pick_plain(std::int64_t rows, std::int64_t columns, const T* values, const std::int64_t* index,
               T* out) {
  for (std::int64_t i = first_item(); i < rows; i += all_items()) {
    device_require(index[i] >= 0 && index[i] < columns, "pick: an index outside [0, columns)");
    out[i] = values[i * columns + index[i]];
  }
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    place_plain(std::int64_t rows, std::int64_t columns, const T* values, const std::int64_t* index,
                T* out) {
  for (std::int64_t o = first_item(); o < rows * columns; o += all_items()) {
    const std::int64_t i = o / columns;
    device_require(index[i] >= 0 && index[i] < columns, "place: an index outside [0, columns)");
    out[o] = index[i] == o % columns ? values[i] : T(0);
  }
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    argmax_plain(std::int64_t rows, std::int64_t columns, const T* values,
                 std::int64_t* prediction) {
  for (std::int64_t i = first_item(); i < rows; i += all_items()) {
    prediction[i] = math::first_maximum(values + i * columns, columns);
  }
}

template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    argmax_by_team(std::int64_t rows, std::int64_t columns, const T* values,
                   std::int64_t* prediction) {
  constexpr int step = TeamType::block_threads / TeamType::teams_per_block;
  for (std::int64_t i = TeamType::first_row(); i < rows; i += TeamType::all_teams()) {
    auto best = Best<T>::none();
    for (int k = TeamType::rank(); k < columns; k += step) {
      best = Better{}(best, Best<T>::of(values[i * columns + k], k));
    }
    best = TeamType::template reduce<Better>(best);
    if (TeamType::rank() == 0) prediction[i] = best.index;
  }
}

// Integers, so that the order of the additions leaves no trace.
__global__ void __launch_bounds__(kItemThreads)
    count_correct_plain(std::int64_t rows, const std::int64_t* prediction,
                        const std::int64_t* labels, unsigned long long* correct,
                        unsigned long long* total) {
  for (std::int64_t i = first_item(); i < rows; i += all_items()) {
    atomicAdd(total + labels[i], 1ull);
    if (prediction[i] == labels[i]) atomicAdd(correct + labels[i], 1ull);
  }
}

constexpr std::int64_t kFewRows = 32;        // a thread looks at so many indices by itself
constexpr std::int64_t kMostPieces = 65535;  // of columns: the most that a grid's y takes

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void take_rows(Stream stream, std::int64_t count, std::int64_t width, const T* values,
               const std::int64_t* index, T* out) {
  using namespace EK_TARGET;
  if (count * width == 0) return;
  using Pack = Pack16<T>;
  if (tuned("take_rows", "take_rows: expected rows and addresses of whole 16 bytes for 'packed'",
            width % Pack::size == 0 && aligned_to_16(values, out))) {
    const std::int64_t packs = width / Pack::size;
    launch<&take_rows_of<Pack>>(for_items(count * packs, stream), count, packs,
                                reinterpret_cast<const Pack*>(values), index,
                                reinterpret_cast<Pack*>(out));
  } else {
    launch<&take_rows_of<T>>(for_items(count * width, stream), count, width, values, index, out);
  }
}

template <class B, class T>
void segment_sum(Stream stream, std::int64_t count, std::int64_t width, std::int64_t segments,
                 const T* values, const std::int64_t* index, T* out) {
  using namespace EK_TARGET;
  if (segments * width == 0) return;
  const std::int64_t pieces = (width + kGather - 1) / kGather;
  const int named = named_version("segment_sum");
  require_argument(named < 1 || pieces <= kMostPieces,
                   "segment_sum: expected fewer columns for 'gathered'", width);
  if (named < 0 ? count <= kFewRows || pieces > kMostPieces : named == 0) {
    launch<&segment_sum_plain<T>>(for_items(segments * width, stream), count, width, segments,
                                  values, index, out);
  } else {
    const Launch blocks{dim3(unsigned(segments), unsigned(pieces)), dim3(kGather), sizeof(Rows),
                        stream};
    launch<&segment_sum_gathered<T>>(blocks, count, width, values, index, out);
  }
}

template <class B, class T>
void pick(Stream stream, std::int64_t rows, std::int64_t columns, const T* values,
          const std::int64_t* index, T* out) {
  using namespace EK_TARGET;
  if (rows == 0) return;
  launch<&pick_plain<T>>(for_items(rows, stream), rows, columns, values, index, out);
}

template <class B, class T>
void place(Stream stream, std::int64_t rows, std::int64_t columns, const T* values,
           const std::int64_t* index, T* out) {
  using namespace EK_TARGET;
  if (rows * columns == 0) return;
  launch<&place_plain<T>>(for_items(rows * columns, stream), rows, columns, values, index, out);
}

template <class B, class T>
void argmax_rows(Stream stream, std::int64_t rows, std::int64_t columns, const T* values,
                 std::int64_t* prediction) {
  using namespace EK_TARGET;
  if (rows == 0) return;
  const bool counts = columns < kNone - BlockTeam::block_threads;
  const ByTeam version = by_team("argmax_rows", counts ? columns : 1);
  require_argument(counts || version == ByTeam::plain,
                   "argmax_rows: expected fewer columns for 'warp' and 'block'", columns);
  if (version == ByTeam::plain) {
    launch<&argmax_plain<T>>(for_items(rows, stream), rows, columns, values, prediction);
  } else if (version == ByTeam::warp) {
    launch<&argmax_by_team<WarpTeam, T>>(for_rows<WarpTeam>(rows, stream), rows, columns, values,
                                         prediction);
  } else {
    launch<&argmax_by_team<BlockTeam, T>>(for_rows<BlockTeam>(rows, stream), rows, columns, values,
                                          prediction);
  }
}

template <class B>
void count_correct(Stream stream, std::int64_t rows, const std::int64_t* prediction,
                   const std::int64_t* labels, std::int64_t* correct, std::int64_t* total) {
  using namespace EK_TARGET;
  if (rows == 0) return;
  launch<&count_correct_plain>(for_items(rows, stream), rows, prediction, labels,
                               reinterpret_cast<unsigned long long*>(correct),
                               reinterpret_cast<unsigned long long*>(total));
}

using EK_TARGET::Backend;
template decltype(take_rows<Backend, float>) take_rows<Backend, float>;
template decltype(take_rows<Backend, double>) take_rows<Backend, double>;
template decltype(take_rows<Backend, std::int64_t>) take_rows<Backend, std::int64_t>;
template decltype(segment_sum<Backend, float>) segment_sum<Backend, float>;
template decltype(segment_sum<Backend, double>) segment_sum<Backend, double>;
template decltype(pick<Backend, float>) pick<Backend, float>;
template decltype(pick<Backend, double>) pick<Backend, double>;
template decltype(place<Backend, float>) place<Backend, float>;
template decltype(place<Backend, double>) place<Backend, double>;
template decltype(argmax_rows<Backend, float>) argmax_rows<Backend, float>;
template decltype(argmax_rows<Backend, double>) argmax_rows<Backend, double>;
template decltype(count_correct<Backend>) count_correct<Backend>;

}  // namespace ek::kernels
