#include "kernels/optim.h"

#include "kernels/arguments.h"
#include "kernels/cuda/packs.cuh"
#include "kernels/math/adam.h"

// One launch updates up to kMostSegments segments, which travel as kernel arguments. One thread,
// one element, is the teaching rung: it stays for buffers that are not aligned to 16 bytes. The
// tuned kernel moves 16 bytes a thread and access, cut at multiples of 16 bytes of the flat buffer
// wherever segments begin. Every element is updated by itself: no choice leaves a trace in its
// bits.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr int kMostSegments = 64;

template <class T>
struct Segment {
  std::int64_t begin, end;  // elements
  std::int64_t last_block;  // one past: blocks of this launch up to the end of this segment
  T rate, decay;
};

template <class T>
struct Segments {
  Segment<T> of[kMostSegments];
};

template <class T>
struct SgdPlain {  // without a momentum buffer
  static constexpr bool reads_state = false;
  __device__ void operator()(T rate, T decay, T g, T& p) const { p -= rate * (g + decay * p); }
};

template <class T>
struct Sgd {
  static constexpr bool reads_state = true;
  T momentum;
  bool nesterov;
  __device__ void operator()(T rate, T decay, T g, T& p, T& buffer) const {
    g += decay * p;
    buffer = momentum * buffer + g;
    p -= rate * (nesterov ? g + momentum * buffer : buffer);
  }
};

template <class T>
struct SgdFirst {  // the buffer holds nothing yet
  static constexpr bool reads_state = false;
  T momentum;
  bool nesterov;
  __device__ void operator()(T rate, T decay, T g, T& p, T& buffer) const {
    g += decay * p;
    buffer = g;
    p -= rate * (nesterov ? g + momentum * buffer : buffer);
  }
};

template <class T>
struct Adam : math::Adam<T> {
  static constexpr bool reads_state = true;
};

// The segment that this block works for, and which of its blocks this one is.
template <class T>
__device__ int segment_of_block(const Segments<T>& segments, std::int64_t& block) {
  int s = 0;
  block = blockIdx.x;
  while (block >= segments.of[s].last_block) ++s;
  if (s > 0) block -= segments.of[s - 1].last_block;
  return s;
}

template <class Update, class T, class... State>
__global__ void __launch_bounds__(kThreads)
    update_plain(Segments<T> segments, Update update, const T* gradient, T* parameters,
                 State*... state) {
  std::int64_t block;
  const Segment<T>& s = segments.of[segment_of_block(segments, block)];
  const std::int64_t i = s.begin + block * kThreads + threadIdx.x;
  if (i < s.end) update(s.rate, s.decay, gradient[i], parameters[i], state[i]...);
}

// A thread has one pack, of which a segment may hold a part.
template <class Update, class T, class... State>
__global__ void __launch_bounds__(kThreads)
    update_packed(Segments<T> segments, Update update, const T* gradient, T* parameters,
                  State*... state) {
  using Pack = Pack16<T>;
  std::int64_t block;
  const Segment<T>& s = segments.of[segment_of_block(segments, block)];
  const std::int64_t pack = s.begin / Pack::size + block * kThreads + threadIdx.x;
  const std::int64_t first = pack * Pack::size;
  if (first >= s.begin && first + Pack::size <= s.end) {
    const auto whole = [&](Pack g, Pack p, auto... of_state) {
#pragma unroll
      for (int j = 0; j < Pack::size; ++j) {
        update(s.rate, s.decay, g.values[j], p.values[j], of_state.values[j]...);
      }
      store_vec(parameters + first, p);
      (store_vec(state + first, of_state), ...);
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
    update(s.rate, s.decay, gradient[i], parameters[i], state[i]...);
  }
}

template <class Update, class T, class... State>
void update_all(Stream stream, std::span<const OptimSegment> segments, double lr, Update update,
                const T* gradient, T* parameters, State*... state) {
  const bool packed = aligned_to_16(gradient, parameters, state...);
  Segments<T> some = {};
  int count = 0;
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (blocks == 0) return;
    const Launch shape{dim3(unsigned(blocks)), dim3(kThreads), 0, stream};
    if (packed) {
      launch<&update_packed<Update, T, State...>>(shape, some, update, gradient, parameters,
                                                  state...);
    } else {
      launch<&update_plain<Update, T, State...>>(shape, some, update, gradient, parameters,
                                                 state...);
    }
    count = 0;
    blocks = 0;
  };
  for (const OptimSegment& s : segments) {
    if (s.frozen || s.begin == s.end) continue;
    constexpr int pack = Pack16<T>::size;
    const std::int64_t pieces =
        packed ? (s.end + pack - 1) / pack - s.begin / pack : s.end - s.begin;
    blocks += (pieces + kThreads - 1) / kThreads;
    some.of[count++] = {s.begin, s.end, blocks, T(lr * s.lr_factor), T(s.weight_decay)};
    if (count == kMostSegments) flush();
  }
  flush();
}

void check_segments(const char* expected, std::span<const OptimSegment> segments) {
  for (const OptimSegment& s : segments) {
    require_argument(0 <= s.begin, expected, s.begin);
    require_argument(s.begin <= s.end, expected, s.end);
  }
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void sgd_step(Stream stream, const SgdSettings& settings, std::span<const OptimSegment> segments,
              const T* gradient, T* parameters, T* momentum_buffer) {
  using namespace EK_TARGET;
  check_segments("sgd_step: expected segments with 0 <= begin <= end", segments);
  require_argument(momentum_buffer || settings.momentum == 0,
                   "sgd_step: expected a momentum buffer, or momentum 0", settings.momentum);
  const T momentum = T(settings.momentum);
  if (!momentum_buffer) {
    update_all(stream, segments, settings.lr, SgdPlain<T>{}, gradient, parameters);
  } else if (settings.first_step) {
    update_all(stream, segments, settings.lr, SgdFirst<T>{momentum, settings.nesterov}, gradient,
               parameters, momentum_buffer);
  } else {
    update_all(stream, segments, settings.lr, Sgd<T>{momentum, settings.nesterov}, gradient,
               parameters, momentum_buffer);
  }
}

template <class B, class T>
void adam_step(Stream stream, const AdamSettings& settings, std::span<const OptimSegment> segments,
               const T* gradient, T* parameters, T* first_moment, T* second_moment) {
  using namespace EK_TARGET;
  check_segments("adam_step: expected segments with 0 <= begin <= end", segments);
  require_argument(settings.step >= 1, "adam_step: expected a step that counts from 1",
                   settings.step);
  const Adam<T> adam{math::adam_of<T>(settings)};
  update_all(stream, segments, settings.lr, adam, gradient, parameters, first_moment,
             second_moment);
}

using EK_TARGET::Backend;
template decltype(sgd_step<Backend, float>) sgd_step<Backend, float>;
template decltype(sgd_step<Backend, double>) sgd_step<Backend, double>;
template decltype(adam_step<Backend, float>) adam_step<Backend, float>;
template decltype(adam_step<Backend, double>) adam_step<Backend, double>;

}  // namespace ek::kernels
