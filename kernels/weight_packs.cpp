#include "kernels/weight_packs.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/base/error.h"

namespace ek::kernels {

void check_packs(std::span<const PackJob> jobs, std::int64_t count, const char* op) {
  struct Weights {
    std::int64_t begin, end;
  };
  std::vector<Weights> all;
  for (const PackJob& job : jobs) {
    check_shape(job.shape, op);
    require(job.pass != Conv2dPass::backward_weights,
            "{}: jobs of the passes forward, tangent and backward data expected, got backward "
            "weights, which reads no pack",
            op);
    require(job.pack != nullptr, "{}: memory for the pack of job {} expected, got null", op,
            all.size());
    const std::int64_t size = job.shape.weight_size();
    require(size <= std::numeric_limits<std::int32_t>::max(),
            "{}: below 2^31 weights a convolution expected, got {}", op, size);
    require(job.begin >= 0 && job.begin <= count - size,
            "{}: weights within the {} parameters expected, got {} to {}", op, count, job.begin,
            job.begin + size);
    all.push_back({job.begin, job.begin + size});
  }
  std::ranges::sort(all, {}, &Weights::begin);
  for (std::size_t i = 1; i < all.size(); ++i) {
    const Weights a = all[i - 1], b = all[i];
    require(a.end <= b.begin || (a.begin == b.begin && a.end == b.end),
            "{}: weights that are the same or have no element in common expected, got {} to {} and "
            "{} to {}",
            op, a.begin, a.end, b.begin, b.end);
  }
}

}  // namespace ek::kernels
