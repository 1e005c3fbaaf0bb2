#pragma once
#include <cstddef>
#include <string>

// What the engine takes of the CUDA runtime, as plain functions: no header of NVIDIA's is needed to
// include this one. GPUs are numbered from 0, as the driver lists them. In a build without CUDA
// there are none, and every function but gpus() throws Error.
namespace ek::cuda {

struct Gpus {
  int count = 0;
  std::string why_none;  // one clause, where count is 0
};
// Asked of the driver once; the first call may take a second. Throws nothing.
const Gpus& gpus();

// "NVIDIA H200"
std::string name_of(int gpu);
// "sm_90"
std::string architecture_of(int gpu);
// The toolkit that this build was made with, "13.0"; "" in a build without CUDA.
std::string toolkit();

// Makes `gpu` the one that this thread's calls and launches go to.
void use(int gpu);
// The queue of the GPU that this thread used last: a cudaStream_t; null before the first use().
// All threads share it, so that a block of memory that one of them gives back, or a tensor that it
// hands on, is in order for the next without a wait.
void* stream();
// From `true` to `false` the queue is this thread's: a capture would record what others put on it,
// so that they get an Error.
void reserve_for_capture(int gpu, bool reserve);

// Memory of a GPU, aligned to 256 bytes, not initialised; null where there is no more of it. May be
// asked for during a capture (engine/graph/graph.h).
void* allocate(int gpu, std::size_t bytes);
void release(int gpu, void* memory);

// On the queue, after all that it holds. What the host reads or overwrites is waited for.
void copy_to_gpu(int gpu, void* to, const void* from_host, std::size_t bytes);
void copy_to_host(void* to_host, int gpu, const void* from, std::size_t bytes);
void copy_within(int gpu, void* to, const void* from, std::size_t bytes);
void copy_between(int to_gpu, void* to, int from_gpu, const void* from, std::size_t bytes);
void zero(int gpu, void* memory, std::size_t bytes);

// Waits for all that was put on the GPU's queue; Error if some of it failed.
void synchronise(int gpu);

// Memory of the host that the GPU reads by itself, and a copy from there that the host does not
// wait for: an event tells when it is done. engine/memory/pinned.h owns both.
void* allocate_pinned(int gpu, std::size_t bytes);
void send_pinned(int gpu, void* to, const void* from_pinned, std::size_t bytes);

// A mark on the queue: record_event puts it behind all that the queue holds, wait_for_event lets
// the host wait until the queue is there. An event that was never recorded is not waited for.
void* make_event(int gpu);
void record_event(int gpu, void* event);
void wait_for_event(int gpu, void* event);

// For destructors, which say nothing of what failed before. An event is waited for, and the queue
// unless it is in a capture, which may not wait.
void destroy_event(int gpu, void* event) noexcept;
void release_pinned(int gpu, void* memory) noexcept;
void wait_quietly(int gpu) noexcept;

}  // namespace ek::cuda
