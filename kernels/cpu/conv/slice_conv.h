#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/conv.h"

// What an implementation of the convolution offers: one pass on one run of images ("slice"), by the
// calling thread. Images are pointers to the first one of the slice; scratch is scratch_bytes()
// for this call alone, aligned to 64 bytes. Safe to call from several threads.
namespace ek::kernels::cpu {

// Passes that produce images. An object is made for one pass; no other may be called.
template <class T>
class SliceConv {
 public:
  virtual ~SliceConv() = default;
  virtual std::size_t scratch_bytes() const = 0;
  virtual void forward(const T* x, ConvPack weight, T* y, std::byte* scratch) const = 0;
  virtual void backward_data(const T* dy, ConvPack weight, T* dx, std::byte* scratch) const = 0;
  // Neither tangent null.
  virtual void tangent(const T* x, ConvPack weight, const T* x_tangent, ConvPack weight_tangent,
                       T* y_tangent, std::byte* scratch) const = 0;
  // Called outside of a parallel region, it shares out the slice among the threads.
  virtual bool uses_all_threads() const { return false; }
};

// Weight gradients: a slice's sums in a layout of the implementation's own, which is the same for
// every number of images, and the way from there to OHWI.
template <class T>
class SliceGradient {
 public:
  virtual ~SliceGradient() = default;
  virtual std::size_t scratch_bytes() const = 0;
  virtual std::int64_t partial_size() const = 0;  // elements
  virtual void compute(const T* x, const T* dy, Acc<T>* partial, std::byte* scratch) const = 0;
  // ordered: the sum of all slices, in the layout of the partial sums.
  virtual void to_ohwi(const Acc<T>* total, Acc<T>* dweight, std::byte* scratch) const = 0;
  virtual std::size_t to_ohwi_bytes() const = 0;  // scratch of to_ohwi
  virtual bool is_ohwi() const = 0;               // then to_ohwi is not to be called
};

// shape.batch is the number of images of the slice.
template <class T>
using SliceConvPtr = std::shared_ptr<const SliceConv<T>>;
template <class T>
using SliceGradientPtr = std::shared_ptr<const SliceGradient<T>>;

}  // namespace ek::kernels::cpu
