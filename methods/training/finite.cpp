#include "methods/training/finite.h"

#include <algorithm>
#include <bit>

#include "kernels/base/error.h"

namespace ek {
namespace {

// The exponent of an infinity or a NaN is all ones. Compared as integers, so that the loop is
// vectorised without leave to assume that there are none.
template <class Bits, class T>
std::int64_t count_in(std::span<const T> values, Bits exponent) {
  return std::ranges::count_if(
      values, [=](T value) { return (std::bit_cast<Bits>(value) & exponent) == exponent; });
}

std::int64_t count_not_finite(const Tensor& anywhere) {
  if (!is_floating(anywhere.dtype())) return 0;
  const Tensor tensor = anywhere.to(Device{});
  if (tensor.dtype() == DType::float64) {
    return count_in<std::uint64_t>(tensor.span<double>(), 0x7ff0000000000000u);
  }
  const Tensor single = tensor.to(DType::float32);
  return count_in<std::uint32_t>(single.span<float>(), 0x7f800000u);
}

}  // namespace

void require_finite(const std::vector<NamedTensor>& tensors, std::int64_t step) {
  const NamedTensor* first = nullptr;
  std::int64_t count = 0, more = 0;
  for (const NamedTensor& tensor : tensors) {
    const std::int64_t here = count_not_finite(tensor.second);
    if (here == 0) continue;
    if (first) {
      ++more;
    } else {
      first = &tensor;
      count = here;
    }
  }
  if (!first) return;
  fail("training: after step {}, {} of the {} numbers of {} are not finite{}; {}", step, count,
       first->second.numel(), first->first,
       more > 0 ? fmt::format(" (and some of {} more tensors)", more) : "", not_finite_advice);
}

}  // namespace ek
