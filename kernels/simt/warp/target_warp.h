#pragma once
// Barriers, votes, shuffles and tensor cores of the host target; included by target.h.
#include "kernels/simt/warp/target.h"

namespace ek::kernels::simt_target {

inline void __syncthreads(Site site = Site::here()) {
  simt::block_barrier(site);
}
inline int __syncthreads_count(int predicate, Site site = Site::here()) {
  return simt::block_vote(predicate != 0, simt::Vote::count, site);
}
inline int __syncthreads_and(int predicate, Site site = Site::here()) {
  return simt::block_vote(predicate != 0, simt::Vote::all, site);
}
inline int __syncthreads_or(int predicate, Site site = Site::here()) {
  return simt::block_vote(predicate != 0, simt::Vote::any, site);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFF, Site site = Site::here()) {
  simt::warp_barrier(mask, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, Site site = Site::here()) {
  return simt::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, Site site = Site::here()) {
  return simt::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, Site site = Site::here()) {
  return simt::ballot(mask, predicate != 0, site) == mask;
}

inline int __popc(unsigned bits) {
  return std::popcount(bits);
}

// The types that CUDA shuffles.
template <class T>
concept Shuffled = std::is_same_v<T, int> || std::is_same_v<T, unsigned> ||
    std::is_same_v<T, long> || std::is_same_v<T, unsigned long> || std::is_same_v<T, long long> ||
    std::is_same_v<T, unsigned long long> || std::is_same_v<T, float> || std::is_same_v<T, double>;

template <Shuffled T>
T shuffle_as(unsigned mask, T value, simt::Shuffle kind, int operand, int width, Site site) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  return std::bit_cast<T>(
      Bits(simt::shuffle(mask, std::bit_cast<Bits>(value), kind, operand, width, site)));
}
template <Shuffled T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, Site site = Site::here()) {
  return shuffle_as(mask, value, simt::Shuffle::index, lane, width, site);
}
template <Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, Site site = Site::here()) {
  return shuffle_as(mask, value, simt::Shuffle::up, int(delta), width, site);
}
template <Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   Site site = Site::here()) {
  return shuffle_as(mask, value, simt::Shuffle::down, int(delta), width, site);
}
template <Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, Site site = Site::here()) {
  return shuffle_as(mask, value, simt::Shuffle::exclusive_or, lane_mask, width, site);
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, Site site = Site::here()) {
  return simt::warp_reduce(mask, value, simt::Reduce::add, site);
}
inline int __reduce_add_sync(unsigned mask, int value, Site site = Site::here()) {
  return int(simt::warp_reduce(mask, unsigned(value), simt::Reduce::add, site));
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, Site site = Site::here()) {
  return simt::warp_reduce(mask, value, simt::Reduce::min_unsigned, site);
}
inline int __reduce_min_sync(unsigned mask, int value, Site site = Site::here()) {
  return int(simt::warp_reduce(mask, unsigned(value), simt::Reduce::min_signed, site));
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, Site site = Site::here()) {
  return simt::warp_reduce(mask, value, simt::Reduce::max_unsigned, site);
}
inline int __reduce_max_sync(unsigned mask, int value, Site site = Site::here()) {
  return int(simt::warp_reduce(mask, unsigned(value), simt::Reduce::max_signed, site));
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, Site site = Site::here()) {
  return simt::warp_reduce(mask, value, simt::Reduce::bit_and, site);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, Site site = Site::here()) {
  return simt::warp_reduce(mask, value, simt::Reduce::bit_or, site);
}

// ---- tensor cores: see primitives.cuh ----

template <int N>
void ldmatrix(std::uint32_t (&r)[N], const void* row, Site site = Site::here()) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::load_matrices(r, N, false, row, site);
}
template <int N>
void ldmatrix_trans(std::uint32_t (&r)[N], const void* row, Site site = Site::here()) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::load_matrices(r, N, true, row, site);
}
inline void mma_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                     Site site = Site::here()) {
  simt::mma_tf32(c, a, b, site);
}
inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                     Site site = Site::here()) {
  simt::mma_bf16(c, a, b, site);
}

}  // namespace ek::kernels::simt_target
