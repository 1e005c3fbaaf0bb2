#pragma once
#include <omp.h>

#include <exception>

#include "kernels/cpu/batch_slices.h"
#include "kernels/cpu/conv/slice_conv.h"

// Convolution slice by slice, for callers that do more to a slice than convolve it: in a parallel
// region of their own, what they do before and after finds the slice in the cache.
//
//   const ConvSlices<bf16> conv(shape, Conv2dPass::forward, conv_slices(shape.batch));
//   for_each_slice(conv.slices(), [&](std::int64_t slice, int thread) {
//     ... make the images x of the slice ...
//     conv.forward(slice, x, pack, y, scratch + thread * conv.scratch_bytes());
//     ... read its y ...
//   });
//
// Bits depend on the shape and the slices, never on threads. Images are pointers to the first one
// of the slice. Scratch is aligned to 64 bytes, one piece for each slice that is in flight.
namespace ek::kernels::cpu {

// `best` is AMX tiles where they are for the shape, else oneDNN where it is built in and has
// something good, else plain loops. The others leave out what comes before them. Packs belong to
// the path: conv2d_pack writes those of the best.
enum class ConvPath { best, onednn, plain };

// The passes that produce images.
template <class T>
class ConvSlices {
 public:
  ConvSlices(const Conv2dShape& shape, Conv2dPass pass, const BatchSlices& slices,
             ConvPath path = ConvPath::best);

  const BatchSlices& slices() const { return slices_; }
  std::size_t scratch_bytes() const;  // a multiple of 64
  // Outside of a parallel region a slice is shared out among the threads; inside it is not.
  bool uses_all_threads() const { return longer_->uses_all_threads(); }

  // Only those of the pass. Arguments as in kernels/conv.h; tangent takes neither tangent null.
  void forward(std::int64_t slice, const T* x, ConvPack weight, T* y, std::byte* scratch) const {
    of(slice).forward(x, weight, y, scratch);
  }
  void backward_data(std::int64_t slice, const T* dy, ConvPack weight, T* dx,
                     std::byte* scratch) const {
    of(slice).backward_data(dy, weight, dx, scratch);
  }
  void tangent(std::int64_t slice, const T* x, ConvPack weight, const T* x_tangent,
               ConvPack weight_tangent, T* y_tangent, std::byte* scratch) const {
    of(slice).tangent(x, weight, x_tangent, weight_tangent, y_tangent, scratch);
  }

 private:
  const SliceConv<T>& of(std::int64_t slice) const {
    return slices_.size(slice) == slices_.size(0) ? *longer_ : *shorter_;
  }

  BatchSlices slices_;
  SliceConvPtr<T> longer_, shorter_;  // slices differ by one image at most
};

// Weight gradients: partial sums of every slice, then their sum in the order of the slices.
template <class T>
class GradientSlices {
 public:
  GradientSlices(const Conv2dShape& shape, const BatchSlices& slices,
                 ConvPath path = ConvPath::best);

  const BatchSlices& slices() const { return slices_; }
  std::size_t scratch_bytes() const;  // a multiple of 64

  // Partial sums: slices().count pieces of partial_stride() elements, aligned to 64 bytes.
  std::int64_t partial_stride() const;
  void compute(std::int64_t slice, const T* x, const T* dy, Acc<T>* partials,
               std::byte* scratch) const {
    const bool long_one = slices_.size(slice) == slices_.size(0);
    (long_one ? longer_ : shorter_)->compute(x, dy, partials + slice * partial_stride(), scratch);
  }

  // dweight (OHWI) = the sum of the partial sums. To be called outside of the parallel region.
  void sum(const Acc<T>* partials, Acc<T>* dweight, std::byte* scratch) const;
  std::size_t sum_bytes() const;  // scratch of `sum`, a multiple of 64

 private:
  BatchSlices slices_;
  SliceGradientPtr<T> longer_, shorter_;
};

// How conv.cpp cuts a batch for the passes that produce images. Measured on the layers of ResNet-32
// at batch 128 with two threads: 4 to 32 slices take the same time within some 8 %, 64 are slower.
// Sixteen leave work for as many threads. (Weight gradients: gradient_slices.)
inline BatchSlices conv_slices(std::int64_t batch) {
  return {batch, std::min<std::int64_t>(batch, 16)};
}

inline int slice_threads(const BatchSlices& slices) {
  return int(std::min<std::int64_t>(slices.count, omp_get_max_threads()));
}

// body(slice, thread) for every slice, in parallel; thread is below slice_threads(slices). An
// exception of the body is thrown again when all slices have ended.
template <class Body>
void for_each_slice(const BatchSlices& slices, const Body& body) {
  std::exception_ptr error;  // must not leave the parallel region as an exception
#pragma omp parallel for schedule(dynamic, 1) num_threads(slice_threads(slices))
  for (std::int64_t slice = 0; slice < slices.count; ++slice) {
    try {
      body(slice, omp_get_thread_num());
    } catch (...) {
#pragma omp critical(ek_slice_error)
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace ek::kernels::cpu
