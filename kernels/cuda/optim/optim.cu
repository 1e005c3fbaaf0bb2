#include "kernels/optim.h"

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/optim_update.cuh"

// "packed" wherever all buffers lie at whole 16 bytes, which the flat buffers of a model do.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

template <class... P>
bool packed_by(const char* function, P... buffers) {
  return tuned(function, "optim: expected buffers at whole 16 bytes for 'packed'",
               aligned_to_16(buffers...));
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void sgd_step(Stream stream, const SgdSettings& settings, std::span<const OptimSegment> segments,
              const T* gradient, T* parameters, T* momentum_buffer) {
  using namespace EK_TARGET;
  check_sgd(settings, segments, momentum_buffer != nullptr);
  const bool packed = packed_by("sgd_step", gradient, parameters, momentum_buffer);
  run_sgd<NoPacks>(stream, packed, settings, whole_segments(segments), gradient, parameters,
                   momentum_buffer);
}

template <class B, class T>
void adam_step(Stream stream, const AdamSettings& settings, std::span<const OptimSegment> segments,
               const T* gradient, T* parameters, T* first_moment, T* second_moment) {
  using namespace EK_TARGET;
  check_adam(settings, segments);
  const bool packed = packed_by("adam_step", gradient, parameters, first_moment, second_moment);
  run_adam<NoPacks>(stream, packed, settings, whole_segments(segments), gradient, parameters,
                    first_moment, second_moment);
}

using EK_TARGET::Backend;
template decltype(sgd_step<Backend, float>) sgd_step<Backend, float>;
template decltype(sgd_step<Backend, double>) sgd_step<Backend, double>;
template decltype(adam_step<Backend, float>) adam_step<Backend, float>;
template decltype(adam_step<Backend, double>) adam_step<Backend, double>;

}  // namespace ek::kernels
