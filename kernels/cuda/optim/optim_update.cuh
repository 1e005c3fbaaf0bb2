#pragma once
// One launch updates up to so many segments of the parameters, which travel as kernel arguments.
// One thread, one element, is the teaching rung: it stays for buffers that are not aligned to 16
// bytes. The tuned kernel moves 16 bytes a thread and access, cut at multiples of 16 bytes of the
// flat buffer wherever segments begin. Every element is updated by itself, by the same operations
// in the same order, whatever the kernel, the grid or the segments; but a device compiler joins
// multiplications and additions to fused ones in each kernel as it likes, so on a GPU two kernels
// may differ in the last bit of an element. What else becomes of a new parameter is up to `Packs`:
// NoPacks here, or the packs of convolution weights in optim_packs.cu.
#include <span>

#include "kernels/base/arguments.h"
#include "kernels/cuda/base/block_place.cuh"
#include "kernels/cuda/optim/packs.cuh"
#include "kernels/cuda/optim/weight_packs.cuh"
#include "kernels/math/adam.h"

namespace ek::kernels::EK_TARGET {

constexpr int kUpdateThreads = 256;

template <class T>
struct Segment {
  std::int64_t begin, end;  // elements
  std::int64_t last_block;  // one past: blocks of this launch up to the end of this segment,
                            // of all where there is none
  double lr_factor;
  T decay;
};

template <class T, int N>
struct Segments {
  Segment<T> of[N];
};

// An update changes a parameter and its state, and returns what becomes of the parameter's packs.
// loaded() is the update of one thread, for which it has read what lies in memory.

template <class T>
struct SgdPlain {  // without a momentum buffer
  static constexpr bool reads_state = false;
  __device__ const SgdPlain& loaded() const { return *this; }
  __device__ T operator()(T rate, T decay, T g, T& p) const { return p -= rate * (g + decay * p); }
};

template <class T>
struct Sgd {
  static constexpr bool reads_state = true;
  T momentum;
  bool nesterov;
  __device__ const Sgd& loaded() const { return *this; }
  __device__ T operator()(T rate, T decay, T g, T& p, T& buffer) const {
    g += decay * p;
    buffer = momentum * buffer + g;
    return p -= rate * (nesterov ? g + momentum * buffer : buffer);
  }
};

template <class T>
struct SgdFirst {  // the buffer holds nothing yet
  static constexpr bool reads_state = false;
  T momentum;
  bool nesterov;
  __device__ const SgdFirst& loaded() const { return *this; }
  __device__ T operator()(T rate, T decay, T g, T& p, T& buffer) const {
    g += decay * p;
    buffer = g;
    return p -= rate * (nesterov ? g + momentum * buffer : buffer);
  }
};

template <class T>
struct AdamLoaded : math::Adam<T> {
  __device__ T operator()(T rate, T decay, T g, T& p, T& m, T& v) const {
    math::Adam<T>::operator()(rate, decay, g, p, m, v);
    return p;
  }
};
template <class T>
struct Adam {
  static constexpr bool reads_state = true;
  AdamSettings settings;
  __device__ AdamLoaded<T> loaded() const { return {math::adam_of<T>(settings)}; }
};

// Parameters that are not part of any pack.
struct NoPacks {
  static constexpr int kMostSegments = 64;

  // Room for what the segment-th segment's elements are part of?
  bool add(int /*segment*/, std::span<const PackTarget>) { return true; }
  void clear() {}

  // The new values of a segment's elements from `first` on.
  template <class T, int N>
  __device__ void put(int /*segment*/, std::int64_t /*first*/, const T (&)[N]) const {}
};

// The segment that this block works for, and which of its blocks this one is.
template <class T, int N>
__device__ int segment_of_block(const Segments<T, N>& segments, std::int64_t& block) {
  block = blockIdx.x;
  return part_of_block([&](int i) { return segments.of[i].last_block; }, N, block);
}

// P: T, or const T where the update writes nothing but its state.
template <class Update, class Packs, class T, class P, class... State>
__global__ void __launch_bounds__(kUpdateThreads)
    update_plain(Segments<T, Packs::kMostSegments> segments, Packs packs, Update given, Scalar lr,
                 const T* gradient, P* parameters, State*... state) {
  std::int64_t block;
  const int segment = segment_of_block(segments, block);
  const Segment<T>& s = segments.of[segment];
  const std::int64_t i = s.begin + block * kUpdateThreads + threadIdx.x;
  if (i >= s.end) return;
  const auto& update = given.loaded();
  const T rate = T(lr.value() * s.lr_factor);
  const T value[1] = {update(rate, s.decay, gradient[i], parameters[i], state[i]...)};
  packs.put(segment, i, value);
}

// A thread has 16 bytes, of which a segment may hold a part.
template <class Update, class Packs, class T, class P, class... State>
__global__ void __launch_bounds__(kUpdateThreads)
    update_packed(Segments<T, Packs::kMostSegments> segments, Packs packs, Update given, Scalar lr,
                  const T* gradient, P* parameters, State*... state) {
  using Pack = Pack16<T>;
  std::int64_t block;
  const int segment = segment_of_block(segments, block);
  const Segment<T>& s = segments.of[segment];
  const std::int64_t pack = s.begin / Pack::size + block * kUpdateThreads + threadIdx.x;
  const std::int64_t first = pack * Pack::size;
  const auto& update = given.loaded();
  const T rate = T(lr.value() * s.lr_factor);
  if (first >= s.begin && first + Pack::size <= s.end) {
    const auto whole = [&](Pack g, Pack p, auto... of_state) {
      T values[Pack::size];
#pragma unroll
      for (int j = 0; j < Pack::size; ++j) {
        values[j] = update(rate, s.decay, g.values[j], p.values[j], of_state.values[j]...);
      }
      if constexpr (!std::is_const_v<P>) store_vec(parameters + first, p);
      (store_vec(state + first, of_state), ...);
      packs.put(segment, first, values);
    };
    [[maybe_unused]] const auto read_state = [&](const T* from) {
      if constexpr (Update::reads_state) return load_vec<Pack>(from + first);
      return Pack{};
    };
    whole(load_vec<Pack>(gradient + first), load_vec<Pack>(parameters + first),
          read_state(state)...);
    return;
  }
  for (int j = 0; j < Pack::size; ++j) {
    const std::int64_t i = first + j;
    if (i < s.begin || i >= s.end) continue;
    const T value[1] = {update(rate, s.decay, gradient[i], parameters[i], state[i]...)};
    packs.put(segment, i, value);
  }
}

// `pieces(add)` calls add(segment, begin, end, targets) for what is to be updated: a part of a
// segment, and the packs that all of it belongs to. `packed`: which of the two kernels; all buffers
// must be aligned for it.
template <class Packs, class Pieces, class Update, class T, class P, class... State>
void update_all(Stream stream, bool packed, const Scalar& lr, const Pieces& pieces, Update update,
                const T* gradient, P* parameters, State*... state) {
  Segments<T, Packs::kMostSegments> some = {};
  Packs packs = {};
  int count = 0;
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (count == 0) return;
    for (int i = count; i < Packs::kMostSegments; ++i) some.of[i].last_block = blocks;
    const Launch shape{dim3(unsigned(blocks)), dim3(kUpdateThreads), 0, stream};
    if (packed) {
      launch<&update_packed<Update, Packs, T, P, State...>>(shape, some, packs, update, lr,
                                                            gradient, parameters, state...);
    } else {
      launch<&update_plain<Update, Packs, T, P, State...>>(shape, some, packs, update, lr, gradient,
                                                           parameters, state...);
    }
    count = 0;
    blocks = 0;
    packs.clear();
  };
  pieces([&](const OptimSegment& s, std::int64_t begin, std::int64_t end,
             std::span<const PackTarget> targets) {
    if (count == Packs::kMostSegments) flush();
    if (!packs.add(count, targets)) {
      flush();
      packs.add(count, targets);
    }
    constexpr int step = Pack16<T>::size;
    const std::int64_t threads = packed ? (end + step - 1) / step - begin / step : end - begin;
    blocks += (threads + kUpdateThreads - 1) / kUpdateThreads;
    some.of[count++] = {begin, end, blocks, s.lr_factor, T(s.weight_decay)};
  });
  flush();
}

// Segments with their elements as they are.
inline auto whole_segments(std::span<const OptimSegment> segments) {
  return [segments](const auto& add) {
    for (const OptimSegment& s : segments) {
      if (!s.frozen && s.begin < s.end) add(s, s.begin, s.end, std::span<const PackTarget>());
    }
  };
}

inline void check_segments(const char* expected, std::span<const OptimSegment> segments) {
  for (const OptimSegment& s : segments) {
    require_argument(0 <= s.begin, expected, s.begin);
    require_argument(s.begin <= s.end, expected, s.end);
  }
}

template <class Packs, class Pieces, class T>
void run_sgd(Stream stream, bool packed, const SgdSettings& settings, const Pieces& pieces,
             const T* gradient, T* parameters, T* momentum_buffer) {
  const T momentum = T(settings.momentum);
  const bool nesterov = settings.nesterov;
  if (!momentum_buffer) {
    update_all<Packs>(stream, packed, settings.lr, pieces, SgdPlain<T>{}, gradient, parameters);
  } else if (settings.first_step) {
    update_all<Packs>(stream, packed, settings.lr, pieces, SgdFirst<T>{momentum, nesterov},
                      gradient, parameters, momentum_buffer);
  } else {
    update_all<Packs>(stream, packed, settings.lr, pieces, Sgd<T>{momentum, nesterov}, gradient,
                      parameters, momentum_buffer);
  }
}

inline void check_sgd(const SgdSettings& settings, std::span<const OptimSegment> segments,
                      bool has_buffer) {
  check_segments("sgd_step: expected segments with 0 <= begin <= end", segments);
  require_argument(has_buffer || settings.momentum == 0,
                   "sgd_step: expected a momentum buffer, or momentum 0", settings.momentum);
}

template <class Packs, class Pieces, class T>
void run_adam(Stream stream, bool packed, const AdamSettings& settings, const Pieces& pieces,
              const T* gradient, T* parameters, T* first_moment, T* second_moment) {
  update_all<Packs>(stream, packed, settings.lr, pieces, Adam<T>{settings}, gradient, parameters,
                    first_moment, second_moment);
}

inline void check_adam(const AdamSettings& settings, std::span<const OptimSegment> segments) {
  check_segments("adam_step: expected segments with 0 <= begin <= end", segments);
  require_argument(settings.step.memory || settings.step.offset >= 1,
                   "adam_step: expected a step that counts from 1", settings.step.offset);
}

}  // namespace ek::kernels::EK_TARGET
