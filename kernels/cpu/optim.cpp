#include "kernels/optim.h"

#include <omp.h>

#include <cmath>

#include "kernels/base/error.h"
#include "kernels/cpu/blocks.h"
#include "kernels/math/adam.h"

namespace ek::kernels {
namespace {

void check_segments(const char* op, std::span<const OptimSegment> segments) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const OptimSegment& s = segments[i];
    require(0 <= s.begin && s.begin <= s.end,
            "{}: segment {} must have 0 <= begin <= end, but is [{}, {})", op, i, s.begin, s.end);
  }
}

// Calls body(segment, begin, end) for the blocks of all segments that are not frozen. Blocks are
// dealt out round robin over all segments in one parallel region: a model has many small segments.
// Every element is updated by itself, so which thread does it leaves no trace in the bits.
template <class Body>
void for_segments(std::span<const OptimSegment> segments, const Body& body) {
  std::int64_t total = 0;
  for (const OptimSegment& s : segments) total += s.end - s.begin;
#pragma omp parallel if (total > cpu::kBlockElements)
  {
    const std::int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
    std::int64_t turn = 0;
    for (const OptimSegment& s : segments) {
      if (s.frozen) continue;
      for (std::int64_t begin = s.begin; begin < s.end; begin += cpu::kBlockElements, ++turn) {
        if (turn % threads == me) body(s, begin, std::min(s.end, begin + cpu::kBlockElements));
      }
    }
  }
}

}  // namespace

template <class B, class T>
void sgd_step(Stream, const SgdSettings& settings, std::span<const OptimSegment> segments,
              const T* gradient, T* parameters, T* momentum_buffer) {
  check_segments("sgd_step", segments);
  require(momentum_buffer || settings.momentum == 0,
          "sgd_step: momentum {} needs a momentum buffer, but it is null", settings.momentum);
  const T momentum = T(settings.momentum);
  const bool nesterov = settings.nesterov, first = settings.first_step;
  const double lr = settings.lr.value();
  for_segments(segments, [=](const OptimSegment& s, std::int64_t begin, std::int64_t end) {
    const T rate = T(lr * s.lr_factor), decay = T(s.weight_decay);
    if (!momentum_buffer) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        parameters[i] -= rate * (gradient[i] + decay * parameters[i]);
      }
      return;
    }
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const T g = gradient[i] + decay * parameters[i];
      const T buffer = first ? g : momentum * momentum_buffer[i] + g;
      momentum_buffer[i] = buffer;
      parameters[i] -= rate * (nesterov ? g + momentum * buffer : buffer);
    }
  });
}

template <class B, class T>
void adam_step(Stream, const AdamSettings& settings, std::span<const OptimSegment> segments,
               const T* gradient, T* parameters, T* first_moment, T* second_moment) {
  check_segments("adam_step", segments);
  const std::int64_t step = settings.step.value();
  require(step >= 1, "adam_step: step must count from 1, but is {}", step);
  const double lr = settings.lr.value();
  const math::Adam<T> adam = math::adam_of<T>(settings);
  const T beta1 = adam.beta1, rest1 = adam.rest1, unbias1 = adam.unbias1;
  const T beta2 = adam.beta2, rest2 = adam.rest2, unbias2 = adam.unbias2, eps = adam.eps;
  for_segments(segments, [=](const OptimSegment& s, std::int64_t begin, std::int64_t end) {
    const T rate = T(lr * s.lr_factor), decay = T(s.weight_decay);
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const T g = gradient[i] + decay * parameters[i];
      const T m = beta1 * first_moment[i] + rest1 * g;
      const T v = beta2 * second_moment[i] + rest2 * g * g;
      first_moment[i] = m;
      second_moment[i] = v;
      parameters[i] -= rate * (m * unbias1) / (std::sqrt(v * unbias2) + eps);
    }
  });
}

template decltype(sgd_step<Cpu, float>) sgd_step<Cpu, float>;
template decltype(sgd_step<Cpu, double>) sgd_step<Cpu, double>;
template decltype(adam_step<Cpu, float>) adam_step<Cpu, float>;
template decltype(adam_step<Cpu, double>) adam_step<Cpu, double>;

}  // namespace ek::kernels
