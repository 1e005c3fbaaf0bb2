// Packs of many convolutions. The plain version is a conv2d_pack for each; the other one writes up
// to kMostJobs packs in a launch, a thread and a word of a pack. Jobs travel as kernel arguments.
#include "kernels/cuda/optim/weight_packs.cuh"

#include <algorithm>
#include <limits>

#include "kernels/base/versions.h"
#include "kernels/cuda/base/block_place.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr int kMostJobs = 128;

struct Jobs {
  PackTarget of[kMostJobs];
  // One past: blocks of this launch up to the end of this job, of all where there is none.
  int last_block[kMostJobs];
};

template <class T>
__global__ void __launch_bounds__(kThreads) pack_all(Jobs jobs, const float* weights) {
  int block = int(blockIdx.x);
  const int job = part_of_block([&](int i) { return jobs.last_block[i]; }, kMostJobs, block);
  const PackTarget& target = jobs.of[job];
  const std::int64_t i = std::int64_t(block) * kThreads + threadIdx.x;
  if (i >= target.layout.fragments() * kFragmentWords) return;
  static_cast<std::uint32_t*>(target.pack)[i] =
      pack_word<T>(target.layout, target.products, weights + target.begin, i);
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void write_packs(Stream stream, std::span<const PackJob> jobs, const Acc<T>* weights) {
  using namespace EK_TARGET;
  check_packs(jobs, std::numeric_limits<std::int64_t>::max(), "write_packs");
  if (named_version("write_packs") == 0) {
    for (const PackJob& job : jobs) {
      conv2d_pack<B, T>(stream, job.shape, job.pass, weights + job.begin, job.pack);
    }
    return;
  }
  Jobs some = {};
  int count = 0;
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (count == 0) return;
    std::fill(some.last_block + count, some.last_block + kMostJobs, int(blocks));
    launch<&pack_all<T>>({dim3(unsigned(blocks)), dim3(kThreads), 0, stream}, some, weights);
    count = 0;
    blocks = 0;
  };
  for (const PackJob& job : jobs) {
    const PackTarget target = target_of<T>(job);
    const std::int64_t words = target.layout.fragments() * kFragmentWords;
    const std::int64_t of_job = (words + kThreads - 1) / kThreads;
    if (count == kMostJobs || blocks + of_job > std::numeric_limits<int>::max()) flush();
    blocks += of_job;
    some.of[count] = target;
    some.last_block[count++] = int(blocks);
  }
  flush();
}

using EK_TARGET::Backend;
template decltype(write_packs<Backend, float>) write_packs<Backend, float>;
template decltype(write_packs<Backend, bf16>) write_packs<Backend, bf16>;

}  // namespace ek::kernels
