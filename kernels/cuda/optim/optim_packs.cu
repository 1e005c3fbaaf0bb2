// Steps that also write the packs of convolution weights (kernels/weight_packs.h). Segments are cut
// where weights begin and end, so that a block works for one convolution or for none, and whoever
// updates a weight puts it into its place in each pack: the weights are not read again, and the
// zeros that fill packs up stay as they are.
#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/base/versions.h"
#include "kernels/cuda/optim/optim_update.cuh"
#include "kernels/elementwise.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr std::int64_t kAnySize = std::numeric_limits<std::int64_t>::max();

// The packs of a launch, as kernel arguments, and which of them each segment's elements are in.
template <class T>
struct PutPacks {
  static constexpr int kMostSegments = 128, kMostTargets = 128;
  PackTarget of[kMostTargets];
  int count;
  int first[kMostSegments], last[kMostSegments];  // one past

  bool add(int segment, std::span<const PackTarget> targets) {
    if (count + int(targets.size()) > kMostTargets) return false;
    first[segment] = count;
    for (const PackTarget& target : targets) of[count++] = target;
    last[segment] = count;
    return true;
  }
  void clear() { count = 0; }

  template <int N>
  __device__ void put(int segment, std::int64_t from, const float (&weights)[N]) const {
    for (int i = first[segment]; i < last[segment]; ++i) scatter<T>(of[i], from, weights);
  }
};
// What a kernel takes as arguments since CUDA 12.1, on any GPU from sm_70 on.
static_assert(sizeof(PutPacks<float>) + sizeof(Segments<float, 128>) < 32000);

// Jobs in the order of their weights.
template <class T>
class Cut {
 public:
  Cut(std::span<const OptimSegment> segments, std::span<const PackJob> jobs, const char* op)
      : segments_(segments) {
    std::vector<PackJob> sorted(jobs.begin(), jobs.end());
    std::ranges::stable_sort(sorted, {}, &PackJob::begin);
    for (const PackJob& job : sorted) {
      if (weights_.empty() || weights_.back().begin != job.begin) {
        weights_.push_back({job.begin, job.begin + job.shape.weight_size(), targets_.size(), 0});
      }
      targets_.push_back(target_of<T>(job));
      require_argument(++weights_.back().count <= PutPacks<T>::kMostTargets, op,
                       std::int64_t(weights_.back().count));
    }
  }

  // Every segment, piece by piece: each lies in one convolution's weights or between them.
  template <class Add>
  void operator()(const Add& add) const {
    for (const OptimSegment& s : segments_) {
      if (s.frozen) continue;
      auto next = std::ranges::upper_bound(weights_, s.begin, {}, &Weights::end);
      for (std::int64_t at = s.begin; at < s.end;) {
        const bool inside = next != weights_.end() && next->begin <= at;
        std::int64_t end = s.end;
        if (next != weights_.end()) end = std::min(end, inside ? next->end : next->begin);
        add(s, at, end,
            inside ? std::span(targets_).subspan(next->first, next->count)
                   : std::span<const PackTarget>());
        at = end;
        if (inside && at == next->end) ++next;
      }
    }
  }

 private:
  struct Weights {
    std::int64_t begin, end;
    std::size_t first, count;  // of targets_
  };
  std::span<const OptimSegment> segments_;
  std::vector<Weights> weights_;
  std::vector<PackTarget> targets_;
};

// y = x + scale d as an update whose state is y; `d` comes as the gradient, `scale` as the rate.
template <class T>
struct AddScaledTo {
  static constexpr bool reads_state = false;
  __device__ const AddScaledTo& loaded() const { return *this; }
  __device__ T operator()(T scale, T, T d, const T& x, T& y) const { return y = x + scale * d; }
};

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void sgd_step_and_pack(Stream stream, const SgdSettings& settings,
                       std::span<const OptimSegment> segments, std::span<const PackJob> jobs,
                       const Acc<T>* gradient, Acc<T>* parameters, Acc<T>* momentum_buffer) {
  using namespace EK_TARGET;
  check_packs(jobs, kAnySize, "sgd_step_and_pack");
  if (named_version("sgd_step_and_pack") == 0) {
    sgd_step<B, float>(stream, settings, segments, gradient, parameters, momentum_buffer);
    return write_packs<B, T>(stream, jobs, parameters);
  }
  check_sgd(settings, segments, momentum_buffer != nullptr);
  const Cut<T> pieces(segments, jobs, "sgd_step_and_pack: expected up to 128 packs of a tensor");
  run_sgd<PutPacks<T>>(stream, aligned_to_16(gradient, parameters, momentum_buffer), settings,
                       pieces, gradient, parameters, momentum_buffer);
}

template <class B, class T>
void adam_step_and_pack(Stream stream, const AdamSettings& settings,
                        std::span<const OptimSegment> segments, std::span<const PackJob> jobs,
                        const Acc<T>* gradient, Acc<T>* parameters, Acc<T>* first_moment,
                        Acc<T>* second_moment) {
  using namespace EK_TARGET;
  check_packs(jobs, kAnySize, "adam_step_and_pack");
  if (named_version("adam_step_and_pack") == 0) {
    adam_step<B, float>(stream, settings, segments, gradient, parameters, first_moment,
                        second_moment);
    return write_packs<B, T>(stream, jobs, parameters);
  }
  check_adam(settings, segments);
  const Cut<T> pieces(segments, jobs, "adam_step_and_pack: expected up to 128 packs of a tensor");
  run_adam<PutPacks<T>>(stream, aligned_to_16(gradient, parameters, first_moment, second_moment),
                        settings, pieces, gradient, parameters, first_moment, second_moment);
}

template <class B, class T>
void add_scaled_and_pack(Stream stream, std::int64_t count, std::span<const PackJob> jobs,
                         const Acc<T>* x, const Scalar& scale, const Acc<T>* d, Acc<T>* y) {
  using namespace EK_TARGET;
  check_packs(jobs, count, "add_scaled_and_pack");
  if (named_version("add_scaled_and_pack") == 0) {
    add_scaled<B, float>(stream, count, x, scale, d, y);
    return write_packs<B, T>(stream, jobs, y);
  }
  const OptimSegment all[] = {{0, count}};
  const Cut<T> pieces(all, jobs, "add_scaled_and_pack: expected up to 128 packs of a tensor");
  update_all<PutPacks<T>>(stream, aligned_to_16(d, x, y), scale, pieces, AddScaledTo<float>{}, d, x,
                          y);
}

using EK_TARGET::Backend;
template decltype(sgd_step_and_pack<Backend, float>) sgd_step_and_pack<Backend, float>;
template decltype(sgd_step_and_pack<Backend, bf16>) sgd_step_and_pack<Backend, bf16>;
template decltype(adam_step_and_pack<Backend, float>) adam_step_and_pack<Backend, float>;
template decltype(adam_step_and_pack<Backend, bf16>) adam_step_and_pack<Backend, bf16>;
template decltype(add_scaled_and_pack<Backend, float>) add_scaled_and_pack<Backend, float>;
template decltype(add_scaled_and_pack<Backend, bf16>) add_scaled_and_pack<Backend, bf16>;

}  // namespace ek::kernels
