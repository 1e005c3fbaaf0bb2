#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/simt/arena.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/options.h"
#include "kernels/simt/runtime.h"

// The state of a launch, for the files of the executor only. One OS thread runs one launch at a
// time; threads of a block are fibers, started at their first instruction.
namespace ek::simt {

struct Warp;
struct Block;
struct BlockClock;
class Executor;

// Computes a warp-wide operation for all lanes of `mask`, run by the last of them to arrive.
using WarpOperation = void (*)(Warp& warp, std::uint32_t mask);

struct PendingCopy {
  void* shared;
  const void* global;  // null: zeros
  int bytes;
  unsigned group;
  Site site;
};

// One CUDA thread.
struct Lane {
  Fiber* fiber = nullptr;  // none before its first instruction and after its last
  Dim3 index;
  std::uint16_t number = 0;  // in the block
  // What it waits for.
  WarpOperation operation = nullptr;
  const char* operation_name = nullptr;
  std::uint32_t mask = 0;
  Site site{nullptr, 0};
  void* argument = nullptr;
  // Its asynchronous copies.
  std::vector<PendingCopy> copies;
  unsigned group = 0;
};

struct Warp {
  Block* block = nullptr;
  std::uint32_t exists = 0, runnable = 0, at_operation = 0, at_barrier = 0, returned = 0;
  std::array<Lane, 32> lanes;

  template <class T>
  T& argument(int lane) {
    return *static_cast<T*>(lanes[std::size_t(lane)].argument);
  }
};

struct Block {
  Dim3 index;
  unsigned threads = 0, returned = 0, arrived = 0;
  std::uint32_t runnable_warps = 0;
  std::vector<Warp> warps;
  Site barrier_site{nullptr, 0};
  int votes = 0, vote_result = 0;
  unsigned last_warp = 0;
  std::uint64_t serial = 0;  // counts blocks over all launches of the OS thread
  SharedArena arena;
  std::shared_ptr<BlockClock> clock;  // of the checked flavour
};

// Where in kernel code something happened: a site that a primitive knows, or the return address of
// a compiler's callback; nowhere by default.
struct Origin {
  const void* file_or_address = nullptr;
  int line = 0;  // 0: an address

  Origin() = default;
  Origin(Site site) : file_or_address(site.file), line(site.line) {}
  explicit Origin(const void* return_address) : file_or_address(return_address) {}
};

struct Failure {
  bool set = false;
  std::string what;
  Dim3 block, thread;
  bool of_thread = false;  // else of the block as a whole
  Origin at, other;
};

class Executor {
 public:
  void run(const LaunchInfo& launch);
  // Throws Error for a grid, a block or an amount of shared memory that no GPU has.
  static void check_launch(const LaunchInfo& launch);

  // On a fiber. wait() comes back when another thread made this one runnable.
  void wait();
  // fail() never comes back and nothing of the fiber is destroyed: it takes the text away from its
  // caller, whose statement must hold no other temporary that owns memory.
  [[noreturn]] void fail(std::string&& what, Origin at, Origin other = {});
  void make_runnable(Warp& warp, std::uint32_t lanes);
  void thread_returned();

  const LaunchInfo* launch = nullptr;
  std::uint64_t first_serial = 0;  // of the blocks of this launch
  Block* block = nullptr;          // the running thread
  Warp* warp = nullptr;
  Lane* lane = nullptr;
  Options used;

  // The running thread's launch may take tickets from now on.
  unsigned* take_tickets();

 private:
  void start_block(Block& block, std::uint64_t ordinal);
  void run_blocks();
  void run_one_thread(Block& block);
  bool finished(Block& block);
  Warp& choose_warp(Block& block);
  std::uint32_t choose_lane(const Warp& warp);
  Fiber* take_fiber();
  void drop_all();
  void require_returned_tickets();
  void fail_block(const Block& block, std::string what);
  [[noreturn]] void throw_failure();
  std::string deadlock(const Block& block) const;

  std::vector<std::uint64_t> block_order_;
  std::vector<std::unique_ptr<Block>> blocks_;  // kept between launches for their arenas
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  Failure failure_;
  std::array<unsigned, kLaunchTickets> tickets_{};
  bool tickets_taken_ = false;
  std::mt19937_64 random_;
  std::uint64_t next_serial_ = 1;
};

// The executor of this OS thread while a launch runs, else null.
extern constinit thread_local Executor* current;
Executor& running_executor(const char* primitive);

// True while kernel code runs, false inside the executor: what the checked flavour looks at.
extern constinit thread_local bool in_kernel_code;
struct InRuntime {
  InRuntime() { in_kernel_code = false; }
  ~InRuntime() { in_kernel_code = current != nullptr; }  // null: called outside a kernel
};

// Waits until all lanes of `mask` brought the same operation, and runs it once for all of them.
void warp_collective(const char* name, std::uint32_t mask, WarpOperation operation, void* argument,
                     Site site);

// "map_kernel<float>" of what __PRETTY_FUNCTION__ made of it.
std::string kernel_title(std::string_view pretty);

}  // namespace ek::simt
