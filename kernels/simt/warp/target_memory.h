#pragma once
// Memory of the host target: vector access, atomics, asynchronous copies, rounding; included by
// target.h.
#include "kernels/math/bf16.h"
#include "kernels/simt/warp/target.h"

namespace ek::kernels::simt_target {

template <class V>
V load_vec(const void* from, Site site = Site::here()) {
  static_assert(std::is_trivially_copyable_v<V> &&
                (sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16));
  V value;
  simt::load(&value, from, sizeof value, site);
  return value;
}
template <class V>
void store_vec(void* to, const V& value, Site site = Site::here()) {
  static_assert(std::is_trivially_copyable_v<V> &&
                (sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16));
  simt::store(to, &value, sizeof value, site);
}

inline void __threadfence(Site site = Site::here()) {
  simt::fence(site);
}
inline void fence_device(Site site = Site::here()) {
  simt::fence(site);
}

inline int atomicAdd(int* p, int v, Site site = Site::here()) {
  return int(simt::atomic(p, simt::Atomic::add_u32, unsigned(v), site));
}
inline unsigned atomicAdd(unsigned* p, unsigned v, Site site = Site::here()) {
  return unsigned(simt::atomic(p, simt::Atomic::add_u32, v, site));
}
inline unsigned long long atomicAdd(unsigned long long* p, unsigned long long v,
                                    Site site = Site::here()) {
  return simt::atomic(p, simt::Atomic::add_u64, v, site);
}
inline float atomicAdd(float* p, float v, Site site = Site::here()) {
  return std::bit_cast<float>(
      unsigned(simt::atomic(p, simt::Atomic::add_f32, std::bit_cast<unsigned>(v), site)));
}
inline int atomicMin(int* p, int v, Site site = Site::here()) {
  return int(simt::atomic(p, simt::Atomic::min_i32, unsigned(v), site));
}
inline int atomicMax(int* p, int v, Site site = Site::here()) {
  return int(simt::atomic(p, simt::Atomic::max_i32, unsigned(v), site));
}
inline unsigned atomicMin(unsigned* p, unsigned v, Site site = Site::here()) {
  return unsigned(simt::atomic(p, simt::Atomic::min_u32, v, site));
}
inline unsigned atomicMax(unsigned* p, unsigned v, Site site = Site::here()) {
  return unsigned(simt::atomic(p, simt::Atomic::max_u32, v, site));
}
inline unsigned atomicExch(unsigned* p, unsigned v, Site site = Site::here()) {
  return unsigned(simt::atomic(p, simt::Atomic::exchange_u32, v, site));
}
inline unsigned atomicCAS(unsigned* p, unsigned expected, unsigned desired,
                          Site site = Site::here()) {
  return simt::atomic_cas(p, expected, desired, site);
}

inline void cp_async_16(void* shared, const void* global, Site site = Site::here()) {
  simt::copy_async(shared, global, 16, true, site);
}
inline void cp_async_16_or_zero(void* shared, const void* global, bool valid,
                                Site site = Site::here()) {
  simt::copy_async(shared, global, 16, valid, site);
}
inline void cp_async_4_or_zero(void* shared, const void* global, bool valid,
                               Site site = Site::here()) {
  simt::copy_async(shared, global, 4, valid, site);
}
inline void cp_async_commit(Site site = Site::here()) {
  simt::copy_async_commit(site);
}
template <int N>
void cp_async_wait(Site site = Site::here()) {
  simt::copy_async_wait(N, site);
}

// cvt.rna.tf32: nearest, halves away from zero, 10 bits of fraction; every NaN the same.
inline std::uint32_t to_tf32(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return 0x7FFFFFFF;
  if ((bits & 0x7F800000) == 0x7F800000) return bits;
  return (bits + 0x1000) & ~0x1FFFu;
}
inline bf16 to_bf16(float x) {  // cvt.rn.bf16: nearest, ties to even; every NaN the same
  return x != x ? bf16{0x7FFF} : math::float_to_bf16(x);
}
inline std::uint32_t to_bf16x2(float low, float high) {
  return to_bf16(low).bits | std::uint32_t(to_bf16(high).bits) << 16;
}
inline std::uint32_t relu_to_bf16x2(float low, float high) {
  return to_bf16x2(low < 0 ? 0.0f : low, high < 0 ? 0.0f : high);
}

}  // namespace ek::kernels::simt_target
