#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "kernels/simt/buffers.h"
#include "kernels/simt/check/checked.h"
#include "kernels/simt/executor.h"

// Shared variables, vector loads and stores, fences and atomics.
namespace ek::simt {

void* dynamic_shared(std::size_t bytes, std::size_t alignment, Site site) {
  const InRuntime guard;
  Executor& e = running_executor("shared_memory");
  SharedArena& arena = e.block->arena;
  if (bytes > arena.dynamic_bytes() || alignment > 128) {
    e.fail(fmt::format("shared_memory of {} bytes aligned to {}, but the launch gave {} bytes "
                       "aligned to 128",
                       bytes, alignment, arena.dynamic_bytes()),
           site);
  }
  return arena.dynamic();
}

unsigned* launch_tickets(Site) {
  const InRuntime guard;
  return running_executor("launch_tickets").take_tickets();
}

void* static_shared(const void* key, std::size_t bytes, std::size_t alignment, Site site) {
  const InRuntime guard;
  Executor& e = running_executor("EK_SHARED");
  void* slot = e.block->arena.slot(key, bytes, alignment);
  if (!slot) {
    e.fail(fmt::format("a shared variable of {} bytes does not fit: {} bytes of static and {} of "
                       "shared memory altogether",
                       bytes, SharedArena::kMaxStaticBytes, SharedArena::kMaxBytes),
           site);
  }
  return slot;
}

namespace {

Executor& checked_address(const char* name, const void* p, std::size_t bytes, Access access,
                          Site site) {
  Executor& e = running_executor(name);
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  if (at % bytes != 0) {
    e.fail(fmt::format("{} of {} bytes, {} bytes off its alignment", name, bytes, at % bytes),
           site);
  }
  if (checked) check_access(p, bytes, access, *e.lane, site);
  return e;
}

}  // namespace

void load(void* to, const void* from, std::size_t bytes, Site site) {
  const InRuntime guard;
  checked_address("load_vec", from, bytes, Access::read, site);
  std::memcpy(to, from, bytes);
}

void store(void* to, const void* from, std::size_t bytes, Site site) {
  const InRuntime guard;
  checked_address("store_vec", to, bytes, Access::write, site);
  std::memcpy(to, from, bytes);
}

void fence(Site) {
  const InRuntime guard;
  running_executor("__threadfence");
  if (checked) tick_fence();
}

namespace {

template <class T, class F>
std::uint64_t replaced(void* address, F f) {
  T before;
  std::memcpy(&before, address, sizeof before);
  const T after = f(before);
  std::memcpy(address, &after, sizeof after);
  if constexpr (sizeof(T) == 8) return std::bit_cast<std::uint64_t>(before);
  if constexpr (sizeof(T) == 4) return std::bit_cast<std::uint32_t>(before);
}

}  // namespace

std::uint64_t atomic(void* address, Atomic op, std::uint64_t operand, Site site) {
  const InRuntime guard;
  const std::size_t bytes = op == Atomic::add_u64 ? 8 : 4;
  checked_address("an atomic", address, bytes, Access::atomic, site);
  if (checked) tick_atomic(address);
  const auto u = std::uint32_t(operand);
  const auto i = std::int32_t(u);
  using U = std::uint32_t;
  using I = std::int32_t;
  switch (op) {
    case Atomic::add_u32:
      return replaced<U>(address, [=](U v) { return v + u; });
    case Atomic::add_u64:
      return replaced<std::uint64_t>(address, [=](std::uint64_t v) { return v + operand; });
    case Atomic::add_f32:
      return replaced<float>(address, [=](float v) { return v + std::bit_cast<float>(u); });
    case Atomic::min_i32:
      return replaced<I>(address, [=](I v) { return std::min(v, i); });
    case Atomic::max_i32:
      return replaced<I>(address, [=](I v) { return std::max(v, i); });
    case Atomic::min_u32:
      return replaced<U>(address, [=](U v) { return std::min(v, u); });
    case Atomic::max_u32:
      return replaced<U>(address, [=](U v) { return std::max(v, u); });
    case Atomic::exchange_u32:
      return replaced<U>(address, [=](U) { return u; });
  }
  __builtin_unreachable();
}

std::uint32_t atomic_cas(void* address, std::uint32_t expected, std::uint32_t desired, Site site) {
  const InRuntime guard;
  checked_address("an atomic", address, 4, Access::atomic, site);
  if (checked) tick_atomic(address);
  return std::uint32_t(replaced<std::uint32_t>(
      address, [=](std::uint32_t v) { return v == expected ? desired : v; }));
}

}  // namespace ek::simt
