#include "kernels/cpu/conv/conv_slices.h"

#include <type_traits>

#include "kernels/cpu/amx/amx_conv.h"
#include "kernels/cpu/amx/amx_gradient.h"
#include "kernels/cpu/conv/conv_onednn.h"
#include "kernels/cpu/conv/conv_plain.h"
#include "kernels/cpu/scratch.h"

namespace ek::kernels::cpu {
namespace {

template <class T>
SliceConvPtr<T> slice_conv(Conv2dShape shape, std::int64_t images, Conv2dPass pass, ConvPath path) {
  shape.batch = images;
  if constexpr (!std::is_same_v<T, double>) {
    if (path == ConvPath::best) {
      if (auto conv = amx_slice_conv<T>(shape, pass)) return conv;
    }
    if (path != ConvPath::plain) {
      if (auto conv = onednn_slice_conv<T>(shape, pass)) return conv;
    }
  }
  return plain_slice_conv<T>(shape);
}

template <class T>
SliceGradientPtr<T> slice_gradient(Conv2dShape shape, std::int64_t images, ConvPath path) {
  shape.batch = images;
  if constexpr (std::is_same_v<T, bf16>) {
    if (path == ConvPath::best) {
      if (auto gradient = amx_slice_gradient(shape)) return gradient;
    }
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (path != ConvPath::plain) {
      if (auto gradient = onednn_slice_gradient<T>(shape)) return gradient;
    }
  }
  return plain_slice_gradient<T>(shape);
}

template <class T>
std::size_t padded(T bytes) {
  return padded_bytes<char>(std::int64_t(bytes));
}

}  // namespace

template <class T>
ConvSlices<T>::ConvSlices(const Conv2dShape& shape, Conv2dPass pass, const BatchSlices& slices,
                          ConvPath path)
    : slices_(slices) {
  const std::int64_t longer = slices.size(0), shorter = slices.size(slices.count - 1);
  longer_ = slice_conv<T>(shape, longer, pass, path);
  shorter_ = shorter == longer ? longer_ : slice_conv<T>(shape, shorter, pass, path);
}

template <class T>
std::size_t ConvSlices<T>::scratch_bytes() const {
  return padded(std::max(longer_->scratch_bytes(), shorter_->scratch_bytes()));
}

template <class T>
GradientSlices<T>::GradientSlices(const Conv2dShape& shape, const BatchSlices& slices,
                                  ConvPath path)
    : slices_(slices) {
  const std::int64_t longer = slices.size(0), shorter = slices.size(slices.count - 1);
  longer_ = slice_gradient<T>(shape, longer, path);
  shorter_ = shorter == longer ? longer_ : slice_gradient<T>(shape, shorter, path);
}

template <class T>
std::size_t GradientSlices<T>::scratch_bytes() const {
  return padded(std::max(longer_->scratch_bytes(), shorter_->scratch_bytes()));
}

template <class T>
std::int64_t GradientSlices<T>::partial_stride() const {
  return std::int64_t(padded_bytes<Acc<T>>(longer_->partial_size()) / sizeof(Acc<T>));
}

template <class T>
std::size_t GradientSlices<T>::sum_bytes() const {
  if (longer_->is_ohwi()) return 0;
  return padded_bytes<Acc<T>>(longer_->partial_size()) + padded(longer_->to_ohwi_bytes());
}

template <class T>
void GradientSlices<T>::sum(const Acc<T>* partials, Acc<T>* dweight, std::byte* scratch) const {
  const std::int64_t size = longer_->partial_size();
  if (longer_->is_ohwi()) {
    return sum_slices(slices_.count, size, partial_stride(), partials, dweight);
  }
  Acc<T>* total = reinterpret_cast<Acc<T>*>(scratch);
  sum_slices(slices_.count, size, partial_stride(), partials, total);
  longer_->to_ohwi(total, dweight, scratch + padded_bytes<Acc<T>>(size));
}

template class ConvSlices<float>;
template class ConvSlices<double>;
template class ConvSlices<bf16>;
template class GradientSlices<float>;
template class GradientSlices<double>;
template class GradientSlices<bf16>;

}  // namespace ek::kernels::cpu
