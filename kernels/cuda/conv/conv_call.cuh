#pragma once
// The keys of convolutions in a table of versions (kernels/base/tuning.h).
#include <algorithm>

#include "kernels/cuda/base/choice.cuh"
#include "kernels/norm_conv.h"

namespace ek::kernels::EK_TARGET {

// `more`: what size_names(function) has after the shape.
template <class T>
Call conv_call(const char* function, const Conv2dShape& s,
               std::initializer_list<std::int64_t> more = {}) {
  Call call = call_of<T>(function,
                         {s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w,
                          s.stride_h, s.stride_w, s.pad_h, s.pad_w, s.groups},
                         s.products);
  constexpr std::size_t of_shape = 12;
  std::ranges::copy(more, call.sizes.begin() + of_shape);
  return call;
}

// `kept`: the activation lies in memory, or is written there; `more` as above.
template <class T>
Call norm_conv_call(const char* function, const NormConvShape& s, bool shortcut, bool kept,
                    bool statistics, std::initializer_list<std::int64_t> more = {}) {
  Call call = conv_call<T>(function, s.conv, {s.normalizes, s.relu, shortcut, kept, statistics});
  constexpr std::size_t before = 17;
  std::ranges::copy(more, call.sizes.begin() + before);
  return call;
}

}  // namespace ek::kernels::EK_TARGET
