#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/simt/executor.h"

// The checked flavour: every load and store of a kernel arrives at check_access, either from the
// callbacks of the compiler's thread-sanitizer instrumentation (tsan_callbacks.cpp) or from the
// primitives that access memory themselves.
namespace ek::simt {

// Set when the program starts, by the first instrumented file in it.
extern constinit bool checked;

enum class Access { read, write, atomic };

// Ends the launch when the access is out of bounds, reads what nobody wrote, or touches memory that
// another thread touched with nothing in between that orders the two. `by` is a lane of the running
// warp.
void check_access(const void* address, std::size_t bytes, Access access, const Lane& by, Origin at);

// An asynchronous copy is under way into [shared, shared + bytes): unreadable until it is waited
// for.
void spoil(const void* shared, std::size_t bytes);

// What orders accesses; see clock.h. A block's clock starts before its arena is reset.
void start_block_clock(Block& block);
void tick_block(Block& block);
void tick_warp(Warp& warp, std::uint32_t mask);
void tick_fence();
void tick_atomic(const void* address);

}  // namespace ek::simt
