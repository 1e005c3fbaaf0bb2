#include "kernels/optim.h"

#include "kernels/cuda/optim_update.cuh"

namespace ek::kernels {

template <class B, class T>
void sgd_step(Stream stream, const SgdSettings& settings, std::span<const OptimSegment> segments,
              const T* gradient, T* parameters, T* momentum_buffer) {
  using namespace EK_TARGET;
  check_sgd(settings, segments, momentum_buffer != nullptr);
  run_sgd<NoPacks>(stream, settings, whole_segments(segments), gradient, parameters,
                   momentum_buffer);
}

template <class B, class T>
void adam_step(Stream stream, const AdamSettings& settings, std::span<const OptimSegment> segments,
               const T* gradient, T* parameters, T* first_moment, T* second_moment) {
  using namespace EK_TARGET;
  check_adam(settings, segments);
  run_adam<NoPacks>(stream, settings, whole_segments(segments), gradient, parameters, first_moment,
                    second_moment);
}

using EK_TARGET::Backend;
template decltype(sgd_step<Backend, float>) sgd_step<Backend, float>;
template decltype(sgd_step<Backend, double>) sgd_step<Backend, double>;
template decltype(adam_step<Backend, float>) adam_step<Backend, float>;
template decltype(adam_step<Backend, double>) adam_step<Backend, double>;

}  // namespace ek::kernels
