#pragma once
#include <cstddef>
#include <cstdint>

// What kernel code compiled for the host calls: the executor behind
// kernels/cuda/base/primitives.cuh. Plain types and no templates: this side of the border may be
// compiled with instrumentation, the other never is, and an inline function shared by both could be
// linked into either.
namespace ek::simt {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Dim3() = default;
  constexpr Dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// The CUDA variables of the running thread.
extern constinit thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

// Where a primitive was called, for messages and for the rule that all threads of a barrier come
// from one line.
struct Site {
  const char* file;
  int line;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// Ends the launch: run_launch() throws ek::Error with kernel, block, thread and site. Nothing is
// unwound, so the locals of a kernel must need no destructor.
[[noreturn]] void fail_kernel(const char* what, Site site);

// One launch. `call` runs the kernel for the current thread.
struct LaunchInfo {
  const char* kernel;  // its name, as the compiler prints it
  Dim3 grid, block;
  std::size_t shared_bytes;
  void (*call)(const void* arguments);
  const void* arguments;
  std::size_t arguments_bytes;
};
void run_launch(const LaunchInfo& launch);

// Shared memory of the running block, poisoned when the block starts.
void* dynamic_shared(std::size_t bytes, std::size_t alignment, Site site);
void* static_shared(const void* key, std::size_t bytes, std::size_t alignment, Site site);

// kLaunchTickets counters of the running launch, for its blocks to find out which one is last.
constexpr int kLaunchTickets = 1024;
unsigned* launch_tickets(Site site);

// Barriers and votes.
void block_barrier(Site site);
enum class Vote { count, all, any };
int block_vote(bool predicate, Vote vote, Site site);
void warp_barrier(std::uint32_t mask, Site site);
std::uint32_t ballot(std::uint32_t mask, bool predicate, Site site);
enum class Shuffle { index, up, down, exclusive_or };
std::uint64_t shuffle(std::uint32_t mask, std::uint64_t value, Shuffle kind, int operand, int width,
                      Site site);
enum class Reduce { add, min_signed, max_signed, min_unsigned, max_unsigned, bit_and, bit_or };
std::uint32_t warp_reduce(std::uint32_t mask, std::uint32_t value, Reduce op, Site site);

// Memory.
void fence(Site site);
enum class Atomic { add_u32, add_u64, add_f32, min_i32, max_i32, min_u32, max_u32, exchange_u32 };
std::uint64_t atomic(void* address, Atomic op, std::uint64_t operand, Site site);
std::uint32_t atomic_cas(void* address, std::uint32_t expected, std::uint32_t desired, Site site);
void load(void* to, const void* from, std::size_t bytes, Site site);  // aligned to `bytes`
void store(void* to, const void* from, std::size_t bytes, Site site);
void copy_async(void* shared, const void* global, int bytes, bool valid, Site site);
void copy_async_commit(Site site);
void copy_async_wait(int pending_groups, Site site);

// Tensor cores; fragments as in the PTX ISA.
void load_matrices(std::uint32_t* registers, int count, bool transposed, const void* row,
                   Site site);
void mma_tf32(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site);
void mma_bf16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site);

}  // namespace ek::simt
