#pragma once
// The two ways from OHWI weights into packs (conv_pack.cuh). pack_word gathers: whoever writes a
// word of a pack looks up the weights that are in it, and writes the filling zeros too. `scatter`
// is for whoever has a weight: it goes to its place. Rounding to tf32 or bf16 happens in either,
// once, and not in the kernels that read the fragments.
#include <bit>
#include <cstdint>
#include <span>

#include "kernels/cuda/conv/conv_pack.cuh"
#include "kernels/weight_packs.h"

namespace ek::kernels::EK_TARGET {

// Weight (in, out, tap) of a merged group as the pass sees it; zero off the diagonal of its parts
// and beyond its channels.
__device__ inline float weight_at(const PackLayout& l, const float* ohwi, int group, int in,
                                  int out, int tap) {
  if (in >= l.in_c || out >= l.out_c || in / l.part_in != out / l.part_out) return 0;
  const int part = group * l.merged + in / l.part_in;
  const int i = in % l.part_in, o = out % l.part_out;
  if (l.backward) {
    return ohwi[((std::int64_t(part) * l.part_in + i) * l.taps + l.taps - 1 - tap) * l.part_out +
                o];
  }
  return ohwi[((std::int64_t(part) * l.part_out + o) * l.taps + tap) * l.part_in + i];
}

// Word i of a pack.
template <class T>
__device__ std::uint32_t pack_word(const PackLayout& l, FloatProducts products, const float* ohwi,
                                   std::int64_t i) {
  const FragmentElement e = fragment_element<T>(int(i % kFragmentWords));
  std::int64_t rest = i / kFragmentWords;
  const int tap = int(rest % l.taps);
  rest /= l.taps;
  const int in = int(rest % l.steps) * kStepChannels<T> + e.k;
  rest /= l.steps;
  const int out = int(rest % l.blocks) * kBlockColumns + e.column, group = int(rest / l.blocks);
  const float value = weight_at(l, ohwi, group, in, out, tap);
  if constexpr (std::is_same_v<T, bf16>) {
    return to_bf16x2(value, weight_at(l, ohwi, group, in + 1, out, tap));
  } else {
    return products == FloatProducts::tf32 ? to_tf32(value) : std::bit_cast<std::uint32_t>(value);
  }
}

// A job as kernels read it.
struct PackTarget {
  void* pack;
  std::int64_t begin;
  PackLayout layout;
  FloatProducts products;
};

template <class T>
PackTarget target_of(const PackJob& job) {
  const bool backward = job.pass == Conv2dPass::backward_data;
  return {job.pack, job.begin, PackLayout(job.shape, backward, kStepChannels<T>),
          job.shape.products};
}

// Puts N weights, the ones from `first` of the flat buffer on, into their places. All are the
// target's. Neighbours are found by counting: the divisions are for the first one alone.
template <class T, int N>
__device__ void scatter(const PackTarget& target, std::int64_t first, const float (&weights)[N]) {
  const PackLayout& l = target.layout;
  const int inputs = l.weight_inputs(), at = int(first - target.begin);
  int c = at % inputs, tap = at / inputs % l.taps, o = at / inputs / l.taps;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    T& place = static_cast<T*>(target.pack)[pack_place<T>(l, o, tap, c)];
    if constexpr (std::is_same_v<T, bf16>) {
      place = to_bf16(weights[j]);
    } else {
      const bool rounds = target.products == FloatProducts::tf32;
      place = rounds ? std::bit_cast<float>(to_tf32(weights[j])) : weights[j];
    }
    if (++c < inputs) continue;
    c = 0;
    if (++tap < l.taps) continue;
    tap = 0;
    ++o;
  }
}

}  // namespace ek::kernels::EK_TARGET
