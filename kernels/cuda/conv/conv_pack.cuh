#pragma once
// How weights lie in a pack: as the fragments that a warp hands to the tensor cores, so that a lane
// gets its share of a factor by one load of 16 bytes. One pack serves every version of a function;
// the plain one looks single weights up.
#include <bit>
#include <cstdint>

#include "kernels/conv.h"
#include "kernels/cuda/optim/packs.cuh"

namespace ek::kernels::EK_TARGET {

constexpr int kBlockColumns = 16;    // output channels of a fragment
constexpr int kStepBytes = 32;       // of input channels of one pixel in a fragment: a k-step
constexpr int kFragmentWords = 128;  // 32 bits each

// channels of T in a k-step: 8 of float32 or tf32, 16 of bf16
template <class T>
constexpr int kStepChannels = kStepBytes / int(sizeof(T));

// 16 bytes of a pixel's channels.
template <class T>
constexpr int kPieceChannels = 16 / int(sizeof(T));
template <class T>
using Piece = Pack<T, kPieceChannels<T>>;

// Fragments in the order [group][block of 16 outputs][k-step][tap]; "in" and "out" are as the pass
// sees them, so backward data has them swapped, and its taps run backwards. What fills the last
// block and the last step up is zero.
//
// Groups of few channels are merged into wider ones of up to 16 channels with zeros off the
// diagonal: four groups of four channels would otherwise pay for 8 x 16 each. Where an input is not
// finite, its whole merged group may become NaN.
struct PackLayout {
  int groups, in_c, out_c;        // merged groups, and the channels of one
  int merged, part_in, part_out;  // of the convolution's own groups
  int blocks, steps, taps;
  bool backward;

  PackLayout() = default;
  bool operator==(const PackLayout&) const = default;
  __host__ __device__ PackLayout(const Conv2dShape& s, bool backward, int step_channels)
      : merged(1), taps(int(s.kernel_h * s.kernel_w)), backward(backward) {
    part_in = int((backward ? s.out_c : s.in_c) / s.groups);
    part_out = int((backward ? s.in_c : s.out_c) / s.groups);
    const int wide = part_in > part_out ? part_in : part_out;
    while (s.groups % (2 * merged) == 0 && 2 * merged * wide <= kBlockColumns) merged *= 2;
    groups = int(s.groups) / merged;
    in_c = merged * part_in;
    out_c = merged * part_out;
    blocks = (out_c + kBlockColumns - 1) / kBlockColumns;
    steps = (in_c + step_channels - 1) / step_channels;
  }
  // Channels of a group as the OHWI weights have them, whatever the pass.
  __host__ __device__ int weight_inputs() const { return backward ? part_out : part_in; }
  __host__ __device__ int weight_outputs() const { return backward ? part_in : part_out; }

  __host__ __device__ std::int64_t fragments() const {
    return std::int64_t(groups) * blocks * steps * taps;
  }
  __host__ __device__ std::int64_t fragment(int group, int block, int step, int tap) const {
    return ((std::int64_t(group) * blocks + block) * steps + step) * taps + tap;
  }
};

// One weight's place in its fragment: the word, and for bf16 which half of it. The layout of the B
// operand in the PTX ISA ("Matrix fragments for mma.m16n8k8", "... mma.m16n8k16"): lane 4g + t
// holds column g; word r of tf32 is row t + 4 r, of bf16 the rows 2 t + 8 r (low half) and the next
// one. A lane's four words are two of columns 0 to 7, then two of 8 to 15.
struct FragmentPlace {
  int word, half;
};
template <class T>
__host__ __device__ FragmentPlace fragment_place(int k, int column) {
  constexpr int pairs = kStepChannels<T> / 8;  // 1 or 2 numbers to a word
  const int lane = column % 8 * 4 + k / pairs % 4, r = k / (4 * pairs);
  return {lane * 4 + column / 8 * 2 + r, k % pairs};
}

// What word `word` of a fragment holds: its first k, the next one follows in bf16.
struct FragmentElement {
  int k, column;
};
template <class T>
__host__ __device__ FragmentElement fragment_element(int word) {
  constexpr int pairs = kStepChannels<T> / 8;
  const int lane = word / 4, r = word % 2;
  return {(lane % 4 + 4 * r) * pairs, word / 2 % 2 * 8 + lane / 4};
}

// Where weight (o, tap, c) of an OHWI tensor, c within its group, lies in a pack: which element of
// T.
template <class T>
__device__ std::int64_t pack_place(const PackLayout& l, int o, int tap, int c) {
  const int part_o = l.weight_outputs(), part_c = l.weight_inputs();
  const int part = o / part_o % l.merged, group = o / part_o / l.merged;
  const int of_o = part * part_o + o % part_o, of_c = part * part_c + c;
  const int in = l.backward ? of_o : of_c, out = l.backward ? of_c : of_o;
  const int at = l.backward ? l.taps - 1 - tap : tap;
  const std::int64_t fragment = l.fragment(group, out / kBlockColumns, in / kStepChannels<T>, at);
  const FragmentPlace place = fragment_place<T>(in % kStepChannels<T>, out % kBlockColumns);
  constexpr int to_a_word = int(sizeof(std::uint32_t) / sizeof(T));
  return (fragment * kFragmentWords + place.word) * to_a_word + place.half;
}

// Weight (o, tap, c) out of a pack (float, bf16) or of the tensor itself (double).
template <class T>
struct PackedWeights {
  const void* data;
  PackLayout layout;

  __device__ Acc<T> operator()(int o, int tap, int c) const {
    if constexpr (std::is_same_v<T, double>) {
      const std::int64_t row = std::int64_t(o) * layout.taps + tap;
      return static_cast<const double*>(data)[row * layout.weight_inputs() + c];
    } else {
      return widened(static_cast<const T*>(data)[pack_place<T>(layout, o, tap, c)]);
    }
  }
};

}  // namespace ek::kernels::EK_TARGET
