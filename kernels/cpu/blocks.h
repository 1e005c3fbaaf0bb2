#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace ek::kernels::cpu {

// Elements that one thread takes at a time: large against the cost of handing it out, small against
// the second-level cache.
inline constexpr std::int64_t kBlockElements = 16384;

inline std::int64_t block_count(std::int64_t count, std::int64_t block) {
  return (count + block - 1) / block;
}

// Calls body(i) for i in [0, count): in parallel, or one after another where that would not help
// (one call, one thread, or a caller that is itself one of several threads: even an inactive nested
// region costs as much as a small kernel). body must not throw.
template <class Body>
void parallel_for(std::int64_t count, const Body& body) {
  if (count <= 1 || omp_in_parallel() || omp_get_max_threads() == 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

// Calls body(begin, end) for consecutive blocks of [0, count), in parallel. Where the blocks lie
// depends on count and block alone, never on the number of threads. body must not throw.
template <class Body>
void for_blocks(std::int64_t count, std::int64_t block, const Body& body) {
  parallel_for(block_count(count, block),
               [&](std::int64_t b) { body(b * block, std::min(count, (b + 1) * block)); });
}

// The same with blocks of about kBlockElements, for `count` items of `width` elements each.
template <class Body>
void for_item_blocks(std::int64_t count, std::int64_t width, const Body& body) {
  const std::int64_t block = kBlockElements / std::max<std::int64_t>(width, 1);
  for_blocks(count, std::max<std::int64_t>(block, 1), body);
}

}  // namespace ek::kernels::cpu
