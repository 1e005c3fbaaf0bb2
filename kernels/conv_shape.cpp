#include "kernels/base/error.h"
#include "kernels/conv.h"

namespace ek::kernels {

void check_shape(const Conv2dShape& s, const char* op) {
  require(s.batch >= 0 && s.in_h > 0 && s.in_w > 0 && s.in_c > 0 && s.out_c > 0 && s.kernel_h > 0 &&
              s.kernel_w > 0,
          "{}: positive sizes expected, got images {}x{}x{}x{}, weights {}x{}x{}", op, s.batch,
          s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w);
  require(s.stride_h > 0 && s.stride_w > 0 && s.pad_h >= 0 && s.pad_w >= 0,
          "{}: stride >= 1 and padding >= 0 expected, got stride {}x{}, padding {}x{}", op,
          s.stride_h, s.stride_w, s.pad_h, s.pad_w);
  require(s.groups > 0 && s.in_c % s.groups == 0 && s.out_c % s.groups == 0,
          "{}: groups that divide the channels expected, got {} for {} to {} channels", op,
          s.groups, s.in_c, s.out_c);
  require(s.kernel_h <= s.in_h + 2 * s.pad_h && s.kernel_w <= s.in_w + 2 * s.pad_w,
          "{}: kernel within the padded image expected, got {}x{} on {}x{} with padding {}x{}", op,
          s.kernel_h, s.kernel_w, s.in_h, s.in_w, s.pad_h, s.pad_w);
}

}  // namespace ek::kernels
