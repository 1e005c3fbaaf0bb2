#include "kernels/weight_packs.h"

#include <limits>

#include "kernels/elementwise.h"

// A step, and then a conv2d_pack for every job, which shares its work out among the threads.
namespace ek::kernels {
namespace {

constexpr std::int64_t kAnySize = std::numeric_limits<std::int64_t>::max();

// All that the CPU refuses, before anything changes.
template <class T>
void check(std::span<const PackJob> jobs, std::int64_t count, const char* op) {
  check_packs(jobs, count, op);
  for (const PackJob& job : jobs) conv2d_pack_bytes<Cpu, T>(job.shape, job.pass);
}

}  // namespace

template <class B, class T>
void write_packs(Stream stream, std::span<const PackJob> jobs, const Acc<T>* weights) {
  check<T>(jobs, kAnySize, "write_packs");
  for (const PackJob& job : jobs) {
    conv2d_pack<B, T>(stream, job.shape, job.pass, weights + job.begin, job.pack);
  }
}

template <class B, class T>
void sgd_step_and_pack(Stream stream, const SgdSettings& settings,
                       std::span<const OptimSegment> segments, std::span<const PackJob> jobs,
                       const Acc<T>* gradient, Acc<T>* parameters, Acc<T>* momentum_buffer) {
  check<T>(jobs, kAnySize, "sgd_step_and_pack");
  sgd_step<B, Acc<T>>(stream, settings, segments, gradient, parameters, momentum_buffer);
  write_packs<B, T>(stream, jobs, parameters);
}

template <class B, class T>
void adam_step_and_pack(Stream stream, const AdamSettings& settings,
                        std::span<const OptimSegment> segments, std::span<const PackJob> jobs,
                        const Acc<T>* gradient, Acc<T>* parameters, Acc<T>* first_moment,
                        Acc<T>* second_moment) {
  check<T>(jobs, kAnySize, "adam_step_and_pack");
  adam_step<B, Acc<T>>(stream, settings, segments, gradient, parameters, first_moment,
                       second_moment);
  write_packs<B, T>(stream, jobs, parameters);
}

template <class B, class T>
void add_scaled_and_pack(Stream stream, std::int64_t count, std::span<const PackJob> jobs,
                         const Acc<T>* x, const Scalar& scale, const Acc<T>* d, Acc<T>* y) {
  check<T>(jobs, count, "add_scaled_and_pack");
  add_scaled<B, Acc<T>>(stream, count, x, scale, d, y);
  write_packs<B, T>(stream, jobs, y);
}

template decltype(write_packs<Cpu, float>) write_packs<Cpu, float>;
template decltype(write_packs<Cpu, bf16>) write_packs<Cpu, bf16>;
template decltype(sgd_step_and_pack<Cpu, float>) sgd_step_and_pack<Cpu, float>;
template decltype(sgd_step_and_pack<Cpu, bf16>) sgd_step_and_pack<Cpu, bf16>;
template decltype(adam_step_and_pack<Cpu, float>) adam_step_and_pack<Cpu, float>;
template decltype(adam_step_and_pack<Cpu, bf16>) adam_step_and_pack<Cpu, bf16>;
template decltype(add_scaled_and_pack<Cpu, float>) add_scaled_and_pack<Cpu, float>;
template decltype(add_scaled_and_pack<Cpu, bf16>) add_scaled_and_pack<Cpu, bf16>;

}  // namespace ek::kernels
