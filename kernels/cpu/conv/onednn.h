#pragma once
#include <omp.h>

#include <dnnl.hpp>

// What differs between oneDNN 2 and 3 (operation descriptors) is hidden here.
namespace ek::kernels::onednn {

using dnnl::memory;

inline const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

// While it lives, OpenMP regions of this thread have one thread. oneDNN plans a primitive for the
// number of threads that it finds at creation.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// A convolution by its tensors; padding is the same on both sides.
struct Convolution {
  memory::desc src, weights, dst;
  memory::dims strides, padding;
};

inline dnnl::convolution_forward::primitive_desc forward(const Convolution& c,
                                                         const dnnl::primitive_attr& attr) {
  constexpr auto kind = dnnl::prop_kind::forward_training;
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), kind,      algorithm, c.src,     c.weights,
          c.dst,    c.strides, c.padding, c.padding, attr};
#else
  return {
      {kind, algorithm, c.src, c.weights, c.dst, c.strides, c.padding, c.padding}, attr, engine()};
#endif
}

inline dnnl::convolution_backward_data::primitive_desc backward_data(
    const Convolution& c, const dnnl::primitive_attr& attr,
    const dnnl::convolution_forward::primitive_desc& hint) {
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(),  algorithm, c.src,     c.weights, c.dst,
          c.strides, c.padding, c.padding, hint,      attr};
#else
  return {
      {algorithm, c.src, c.weights, c.dst, c.strides, c.padding, c.padding}, attr, engine(), hint};
#endif
}

inline dnnl::convolution_backward_weights::primitive_desc backward_weights(
    const Convolution& c, const dnnl::primitive_attr& attr,
    const dnnl::convolution_forward::primitive_desc& hint) {
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(),  algorithm, c.src,     c.weights, c.dst,
          c.strides, c.padding, c.padding, hint,      attr};
#else
  return {
      {algorithm, c.src, c.weights, c.dst, c.strides, c.padding, c.padding}, attr, engine(), hint};
#endif
}

inline dnnl::matmul::primitive_desc matmul(const memory::desc& a, const memory::desc& b,
                                           const memory::desc& c) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), a, b, c};
#else
  return {{a, b, c}, engine()};
#endif
}

}  // namespace ek::kernels::onednn
