#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define EK_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EK_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef EK_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

// What the address sanitizer has to be told; nothing in other builds.
namespace ek::simt {

#ifdef EK_ADDRESS_SANITIZER
constexpr bool kAddressSanitizer = true;
inline void make_poison(const void* p, std::size_t bytes) {
  __asan_poison_memory_region(p, bytes);
}
inline void unpoison(const void* p, std::size_t bytes) {
  __asan_unpoison_memory_region(p, bytes);
}
#else
constexpr bool kAddressSanitizer = false;
inline void make_poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

// Whether the executor was built with it, for code that was not.
bool address_sanitizer();

}  // namespace ek::simt
