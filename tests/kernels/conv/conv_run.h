#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/conv.h"
#include "kernels/cpu/conv/conv_onednn.h"
#include "kernels/cpu/conv/conv_plain.h"
#include "kernels/cpu/conv/conv_slices.h"
#include "kernels/math/philox.h"
#include "tests/catch.h"
#include "tests/kernels/reference.h"

// What the tests of the convolution share: shapes, naive sums, and a run of every pass.
namespace ek::reference {

using kernels::Acc;
using kernels::Conv2dPass;
using kernels::Conv2dShape;
using kernels::ConvPack;
using kernels::Cpu;
using kernels::Workspace;
using kernels::cpu::ConvPath;

// batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, groups
inline const std::vector<Conv2dShape> shapes{
    {1, 1, 1, 1, 1, 1, 1},                    // the smallest
    {3, 7, 5, 3, 8, 3, 3, 1, 1, 1, 1},        // three input channels
    {34, 4, 4, 3, 16, 3, 3, 1, 1, 1, 1},      // batch not a multiple of the slices
    {2, 8, 8, 16, 32, 3, 3, 2, 2, 1, 1},      // stride 2, even size
    {5, 9, 6, 5, 7, 1, 1},                    // 1x1, odd channels
    {2, 7, 7, 4, 6, 1, 1, 2, 2},              // 1x1, stride 2: inputs that no window meets
    {11, 6, 5, 3, 17, 3, 5, 1, 2, 0, 2},      // kernel, stride and padding differ by axis
    {9, 5, 5, 6, 4, 3, 3, 1, 1, 1, 1, 2},     // two groups
    {19, 6, 6, 32, 64, 3, 3, 1, 1, 1, 1, 2},  // two groups, wide
    {2, 8, 7, 8, 8, 3, 3, 2, 2, 1, 1, 8},     // depthwise
    {3, 6, 6, 4, 12, 3, 3, 1, 1, 1, 1, 4},    // depthwise with three outputs each
    {1, 12, 11, 3, 10, 7, 7, 2, 2, 3, 3},     // a stem
    {17, 3, 3, 64, 64, 3, 3, 1, 1, 1, 1},     // image no larger than the kernel
    {2, 3, 3, 2, 3, 2, 2, 1, 1, 2, 2},        // windows wholly in the padding
    {3, 6, 7, 2, 2, 2, 2, 3, 3},              // stride beyond the kernel, a rest at the border
    {1, 9, 9, 33, 35, 3, 3, 1, 1, 0, 0},      // channels one beyond whole vectors
    {2, 5, 70, 5, 9, 1, 3, 1, 1, 0, 1},       // rows longer than a strip
    {1, 1, 13, 4, 20, 1, 4, 1, 3, 0, 2},      // one row, even kernel
    {6, 11, 2, 10, 6, 5, 3, 2, 3, 2, 1, 2},   // a tap that meets nothing but padding
};

// The layers of a CIFAR ResNet with a batch that the slices do not divide.
inline const std::vector<Conv2dShape> layers{
    {21, 32, 32, 3, 16, 3, 3, 1, 1, 1, 1},
    {21, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1},
    {21, 32, 32, 16, 32, 3, 3, 2, 2, 1, 1},
    {21, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1},
    {21, 16, 16, 32, 64, 3, 3, 2, 2, 1, 1},
    {21, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1},
    {21, 8, 8, 64, 256, 1, 1},
    {21, 8, 8, 128, 128, 3, 3, 1, 1, 1, 1, 32},
};

inline std::string describe(const Conv2dShape& s) {
  return fmt::format("batch {}, {}x{}x{} to {}, kernel {}x{}, stride {}x{}, pad {}x{}, groups {}",
                     s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride_h,
                     s.stride_w, s.pad_h, s.pad_w, s.groups);
}

// Shapes drawn at random, each valid: up to 20 images, 13 pixels a side, 40 channels.
inline std::vector<Conv2dShape> random_shapes(int count) {
  std::vector<Conv2dShape> list;
  for (std::uint32_t n = 0; std::int64_t(list.size()) < count; ++n) {
    const auto bits = ek::math::philox({n, 0, 0, 0}, {4, 2});
    const auto more = ek::math::philox({n, 1, 0, 0}, {4, 2});
    const auto draw = [](std::uint32_t word, int shift, std::int64_t low, std::int64_t high) {
      return low + std::int64_t((word >> shift) & 0xff) % (high - low + 1);
    };
    Conv2dShape s{draw(bits[0], 0, 1, 20), draw(bits[0], 8, 1, 13), draw(bits[0], 16, 1, 13),
                  draw(bits[1], 0, 1, 10), draw(bits[1], 8, 1, 10), draw(bits[2], 0, 1, 5),
                  draw(bits[2], 8, 1, 5),  draw(more[0], 0, 1, 3),  draw(more[0], 8, 1, 3),
                  draw(more[1], 0, 0, 3),  draw(more[1], 8, 0, 3)};
    s.groups = std::array<std::int64_t, 3>{1, 2, 4}[std::size_t(draw(more[2], 0, 0, 2))];
    s.in_c *= s.groups;
    s.out_c *= s.groups;
    const bool fits = s.kernel_h <= s.in_h + 2 * s.pad_h && s.kernel_w <= s.in_w + 2 * s.pad_w;
    if (fits) list.push_back(s);
  }
  return list;
}

// visit(x index, weight index, y index) for every product of the convolution: summed into y it is
// the forward pass, into x and weight the two backward passes.
template <class Visit>
void for_products(const Conv2dShape& s, Visit visit) {
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  for (std::int64_t y = 0; y < s.output_size(); ++y) {
    const std::int64_t o = y % s.out_c, ow = y / s.out_c % s.out_w();
    const std::int64_t oh = y / s.out_c / s.out_w() % s.out_h();
    const std::int64_t n = y / s.out_c / s.out_w() / s.out_h();
    for (std::int64_t kh = 0; kh < s.kernel_h; ++kh) {
      for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
        const std::int64_t ih = oh * s.stride_h + kh - s.pad_h;
        const std::int64_t iw = ow * s.stride_w + kw - s.pad_w;
        if (ih < 0 || ih >= s.in_h || iw < 0 || iw >= s.in_w) continue;
        for (std::int64_t i = 0; i < in_c; ++i) {
          visit(((n * s.in_h + ih) * s.in_w + iw) * s.in_c + o / out_c * in_c + i,
                ((o * s.kernel_h + kh) * s.kernel_w + kw) * in_c + i, y);
        }
      }
    }
  }
}

constexpr Conv2dPass passes[] = {Conv2dPass::forward, Conv2dPass::backward_data,
                                 Conv2dPass::backward_weights, Conv2dPass::tangent};

// Weights as a pass of a path reads them.
template <class T>
class Packed {
 public:
  Packed(const Conv2dShape& s, Conv2dPass pass, ConvPath path, const Guarded<Acc<T>>& ohwi)
      : memory_(pack_bytes(s, pass, path)), pack_{ohwi.data()} {
    if (memory_.get().bytes == 0) return;
    pack_.data = memory_.get().data;
    if (path == ConvPath::best) {
      kernels::conv2d_pack<Cpu, T>({}, s, pass, ohwi.data(), memory_.get().data);
    } else if (has_onednn_pack(s, pass, path)) {
      if constexpr (!std::is_same_v<T, double>) {
        kernels::cpu::onednn_pack<T>(s, pass, ohwi.data(), memory_.get().data);
      }
    } else {
      kernels::cpu::plain_pack<T>(s, pass, ohwi.data(), static_cast<Acc<T>*>(memory_.get().data));
    }
    REQUIRE(memory_.intact());
  }
  operator ConvPack() const { return pack_; }

 private:
  static bool has_onednn_pack(const Conv2dShape& s, Conv2dPass pass, ConvPath path) {
    if constexpr (!std::is_same_v<T, double>) {
      return path == ConvPath::onednn && kernels::cpu::onednn_pack_bytes<T>(s, pass);
    }
    return false;
  }
  static std::size_t pack_bytes(const Conv2dShape& s, Conv2dPass pass, ConvPath path) {
    if (path == ConvPath::best) return kernels::conv2d_pack_bytes<Cpu, T>(s, pass);
    if constexpr (!std::is_same_v<T, double>) {
      if (has_onednn_pack(s, pass, path)) return *kernels::cpu::onednn_pack_bytes<T>(s, pass);
    }
    return kernels::cpu::plain_pack_bytes<T>(s, pass);
  }

  GuardedWorkspace memory_;
  ConvPack pack_;
};

// Inputs of a shape, and its passes on a path. Weights are numbers of T.
template <class T>
struct Case {
  Conv2dShape shape;
  ConvPath path;
  Guarded<T> x, x_tangent, dy;
  Guarded<Acc<T>> weight, weight_tangent;

  Case(const Conv2dShape& s, ConvPath p)
      : shape(s),
        path(p),
        x(random_values<T>(s.input_size(), 1)),
        x_tangent(random_values<T>(s.input_size(), 3)),
        dy(random_values<T>(s.output_size(), 5)),
        weight(random_values<Acc<T>>(s.weight_size(), 2)),
        weight_tangent(random_values<Acc<T>>(s.weight_size(), 4)) {
    for (auto* w : {&weight, &weight_tangent}) {
      for (std::int64_t i = 0; i < w->size(); ++i) (*w)[i] = Acc<T>(number(rounded<T>((*w)[i])));
    }
  }

  // check(result) for the result of a pass.
  template <class Check>
  void run(Conv2dPass pass, Check check) const {
    pass == Conv2dPass::backward_weights ? check(gradient()) : check(images(pass));
  }

  Guarded<T> images(Conv2dPass pass) const {
    Guarded<T> out(pass == Conv2dPass::backward_data ? shape.input_size() : shape.output_size());
    if (path == ConvPath::best) {
      GuardedWorkspace workspace(kernels::conv2d_workspace_bytes<Cpu, T>(shape, pass));
      best(pass, out.data(), workspace.get());
      REQUIRE(workspace.intact());
    } else {
      by_slices(pass, out.data());
    }
    REQUIRE(out.intact());
    return out;
  }

  Guarded<Acc<T>> gradient() const {
    Guarded<Acc<T>> out(shape.weight_size());
    if (path == ConvPath::best) {
      GuardedWorkspace workspace(
          kernels::conv2d_workspace_bytes<Cpu, T>(shape, Conv2dPass::backward_weights));
      kernels::conv2d_backward_weights<Cpu, T>({}, shape, x.data(), dy.data(), out.data(),
                                               workspace.get());
      REQUIRE(workspace.intact());
    } else {
      gradient_by_slices(out.data());
    }
    REQUIRE(out.intact());
    return out;
  }

  void best(Conv2dPass pass, T* out, Workspace workspace) const {
    const Packed<T> w(shape, pass, path, weight), dw(shape, pass, path, weight_tangent);
    if (pass == Conv2dPass::forward) {
      kernels::conv2d_forward<Cpu, T>({}, shape, x.data(), w, out, workspace);
    } else if (pass == Conv2dPass::backward_data) {
      kernels::conv2d_backward_data<Cpu, T>({}, shape, dy.data(), w, out, workspace);
    } else {
      kernels::conv2d_tangent<Cpu, T>({}, shape, x.data(), w, x_tangent.data(), dw, out, workspace);
    }
  }

  void by_slices(Conv2dPass pass, T* out) const {
    const Packed<T> w(shape, pass, path, weight), dw(shape, pass, path, weight_tangent);
    const kernels::cpu::BatchSlices two{shape.batch, std::min<std::int64_t>(shape.batch, 2)};
    const kernels::cpu::ConvSlices<T> conv(shape, pass, two, path);
    GuardedWorkspace scratch(conv.scratch_bytes());
    const auto bytes = static_cast<std::byte*>(scratch.get().data);
    for (std::int64_t slice = 0; slice < conv.slices().count; ++slice) {
      const std::int64_t n = conv.slices().begin(slice);
      const std::int64_t x_at = n * shape.input_size() / shape.batch;
      const std::int64_t y_at = n * shape.output_size() / shape.batch;
      if (pass == Conv2dPass::forward) {
        conv.forward(slice, x.data() + x_at, w, out + y_at, bytes);
      } else if (pass == Conv2dPass::backward_data) {
        conv.backward_data(slice, dy.data() + y_at, w, out + x_at, bytes);
      } else {
        conv.tangent(slice, x.data() + x_at, w, x_tangent.data() + x_at, dw, out + y_at, bytes);
      }
    }
    REQUIRE(scratch.intact());
  }

  void gradient_by_slices(Acc<T>* out) const {
    const kernels::cpu::GradientSlices<T> conv(shape, kernels::cpu::gradient_slices(shape.batch),
                                               path);
    GuardedWorkspace scratch(conv.scratch_bytes()), sum_scratch(conv.sum_bytes());
    std::vector<Acc<T>> partials(std::size_t(conv.slices().count * conv.partial_stride()));
    for (std::int64_t slice = 0; slice < conv.slices().count; ++slice) {
      const std::int64_t n = conv.slices().begin(slice);
      conv.compute(slice, x.data() + n * shape.input_size() / shape.batch,
                   dy.data() + n * shape.output_size() / shape.batch, partials.data(),
                   static_cast<std::byte*>(scratch.get().data));
    }
    conv.sum(partials.data(), out, static_cast<std::byte*>(sum_scratch.get().data));
    REQUIRE(scratch.intact());
  }

  Sums expected(Conv2dPass pass, std::int64_t size) const {
    Sums sums(size);
    for_products(shape, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
      switch (pass) {
        case Conv2dPass::forward:
          return sums.add(yi, number(x[xi]), weight[wi]);
        case Conv2dPass::backward_data:
          return sums.add(xi, number(dy[yi]), weight[wi]);
        case Conv2dPass::backward_weights:
          return sums.add(wi, number(dy[yi]), number(x[xi]));
        case Conv2dPass::tangent:
          sums.add(yi, number(x_tangent[xi]), weight[wi]);
          return sums.add(yi, number(x[xi]), weight_tangent[wi]);
      }
    });
    return sums;
  }
};

template <class T>
void check_values(ConvPath path, const std::vector<Conv2dShape>& list = shapes) {
  for (const Conv2dShape& shape : list) {
    const Case<T> c(shape, path);
    for (Conv2dPass pass : passes) {
      INFO(describe(shape) << ", pass " << int(pass));
      c.run(pass, [&](const auto& got) {
        REQUIRE(first_wrong(got, c.expected(pass, got.size())) == -1);
      });
    }
  }
}

template <class T>
void check_threads(const std::vector<Conv2dShape>& list, ConvPath path) {
  const auto with_threads = [](int count, auto run) {
    const Threads threads(count);
    return run();
  };
  for (const Conv2dShape& shape : list) {
    const Case<T> c(shape, path);
    for (Conv2dPass pass : {Conv2dPass::forward, Conv2dPass::backward_data, Conv2dPass::tangent}) {
      const auto run = [&] { return c.images(pass); };
      const Guarded<T> one = with_threads(1, run);
      for (int count : {2, 4}) {
        INFO(describe(shape) << ", pass " << int(pass) << ", threads " << count);
        REQUIRE(with_threads(count, run).same_bits(one));
      }
    }
    const auto run = [&] { return c.gradient(); };
    const Guarded<Acc<T>> one = with_threads(1, run);
    for (int count : {2, 4}) {
      INFO(describe(shape) << ", weight gradient, threads " << count);
      REQUIRE(with_threads(count, run).same_bits(one));
    }
  }
}

}  // namespace ek::reference
