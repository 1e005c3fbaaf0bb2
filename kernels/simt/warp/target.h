#pragma once
// The host side of kernels/cuda/base/primitives.cuh: CUDA's words for a C++ compiler.
#include <bit>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include "kernels/base/backend.h"
#include "kernels/simt/runtime.h"

// The toolkit's headers define these as nothing for a host compiler, and a __shared__ of nothing
// would be one variable per thread: here it does not compile.
#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __align__
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

#define EK_TARGET simt_target

namespace ek::kernels::simt_target {

using Backend = Simt;
using simt::blockDim;
using simt::blockIdx;
using simt::gridDim;
using simt::Site;
using simt::threadIdx;
using dim3 = simt::Dim3;
constexpr int warpSize = 32;

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// ---- launch ----

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // sizeof the T of shared_memory<T>()
  Stream stream = {};
};

template <auto Kernel>
const char* kernel_name() {
  return __PRETTY_FUNCTION__;
}

template <auto Kernel, class... P, class... A>
void launch_converted(const Launch& launch, void (*)(P...), const A&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "a kernel takes exactly its parameters");
  static_assert((std::is_trivially_copyable_v<P> && ...), "kernel arguments are copied as bytes");
  const std::tuple<P...> values(static_cast<P>(arguments)...);
  const auto call = [](const void* tuple) {
    std::apply(Kernel, *static_cast<const std::tuple<P...>*>(tuple));
  };
  simt::run_launch({.kernel = kernel_name<Kernel>(),
                    .grid = launch.grid,
                    .block = launch.block,
                    .shared_bytes = launch.shared_bytes,
                    .call = call,
                    .arguments = &values,
                    .arguments_bytes = sizeof values});
}

// launch<&kernel<...>>({grid, block, shared_bytes, stream}, arguments...). Arguments are converted
// to the kernel's parameters. Throws ek::Error.
template <auto Kernel, class... A>
void launch(const Launch& shape, const A&... arguments) {
  launch_converted<Kernel>(shape, Kernel, arguments...);
}

// ---- shared memory ----

// No constructor runs in shared memory on a device, and no destructor.
template <class T>
constexpr bool plain_storage = std::conjunction_v<std::is_trivially_default_constructible<T>,
                                                  std::is_trivially_destructible<T>>;

// All dynamic shared memory of the kernel as one struct.
template <class T>
T& shared_memory(Site site = Site::here()) {
  static_assert(plain_storage<T>, "shared memory is not constructed");
  return *static_cast<T*>(simt::dynamic_shared(sizeof(T), alignof(T), site));
}

template <class Key>
inline constexpr char shared_key = 0;

template <class T, class Key>
T& static_shared_memory(Site site = Site::here()) {
  static_assert(plain_storage<T>, "shared memory is not constructed");
  return *static_cast<T*>(simt::static_shared(&shared_key<Key>, sizeof(T), alignof(T), site));
}

// EK_SHARED(name, type): a static shared variable, for example EK_SHARED(tile, float[32][33]).
// The lambda makes each declaration a variable of its own.
#define EK_SHARED(name, ...) \
  auto& name = ::ek::kernels::simt_target::static_shared_memory<__VA_ARGS__, decltype([] {})>()

// ---- checks ----

inline void device_require(bool condition, const char* what, Site site = Site::here()) {
  if (!condition) simt::fail_kernel(what, site);
}

// ---- tickets ----

// Counters for last_of, all zero when a launch starts. A launch that leaves another one fails.
using simt::kLaunchTickets;
inline unsigned* launch_tickets(Site site = Site::here()) {
  return simt::launch_tickets(site);
}

}  // namespace ek::kernels::simt_target

#include "kernels/simt/warp/target_memory.h"
#include "kernels/simt/warp/target_warp.h"
