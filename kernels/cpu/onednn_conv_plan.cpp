#ifdef EK_HAS_ONEDNN
#include "kernels/cpu/onednn_conv_plan.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "kernels/error.h"

namespace ek::kernels::onednn {
namespace {

constexpr auto f32 = memory::data_type::f32;

memory::desc image_desc(std::int64_t batch, std::int64_t h, std::int64_t w, std::int64_t c) {
  return {{batch, c, h, w}, f32, memory::format_tag::nhwc};
}

memory::dims weight_dims(const Conv2dShape& s) {
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  if (s.groups == 1) return {out_c, in_c, s.kernel_h, s.kernel_w};
  return {s.groups, out_c, in_c, s.kernel_h, s.kernel_w};
}

memory::desc ohwi_desc(const Conv2dShape& s) {
  const auto tag = s.groups == 1 ? memory::format_tag::ohwi : memory::format_tag::gohwi;
  return {weight_dims(s), f32, tag};
}

dnnl::primitive_attr attributes(bool accumulate) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops ops;
    ops.append_sum(1.0f);
    attr.set_post_ops(ops);
  }
  return attr;
}

template <class Primitive, class Description>
dnnl::primitive take_primitive(ConvSlicePlan& plan, const Description& description) {
  plan.scratchpad_bytes = std::max(plan.scratchpad_bytes, description.scratchpad_desc().get_size());
  // The reference loops of oneDNN are far slower than the plain path here.
  const std::string_view name = description.impl_info_str();
  plan.good = name.find("ref") == std::string_view::npos;
  return Primitive(description);
}

ConvSlicePlan plan_slice(const Conv2dShape& s, Conv2dPass pass, std::int64_t batch,
                         const memory::desc& weights) {
  ConvSlicePlan plan;
  plan.src = image_desc(batch, s.in_h, s.in_w, s.in_c);
  plan.dst = image_desc(batch, s.out_h(), s.out_w(), s.out_c);
  const Convolution c{plan.src, weights, plan.dst, {s.stride_h, s.stride_w}, {s.pad_h, s.pad_w}};
  Convolution any = c;
  any.weights = {weight_dims(s), f32, memory::format_tag::any};
  if (pass == Conv2dPass::backward_data) {
    const auto description = backward_data(c, attributes(false), forward(any, attributes(false)));
    plan.weights = description.weights_desc();
    plan.primitive = take_primitive<dnnl::convolution_backward_data>(plan, description);
  } else if (pass == Conv2dPass::backward_weights) {
    const auto description =
        backward_weights(c, attributes(false), forward(any, attributes(false)));
    plan.weights = description.diff_weights_desc();
    plan.primitive = take_primitive<dnnl::convolution_backward_weights>(plan, description);
  } else {
    const auto description = forward(c, attributes(false));
    plan.weights = description.weights_desc();
    plan.primitive = take_primitive<dnnl::convolution_forward>(plan, description);
    if (pass == Conv2dPass::tangent && plan.good) {
      const Convolution same{c.src, plan.weights, c.dst, c.strides, c.padding};
      plan.accumulating =
          take_primitive<dnnl::convolution_forward>(plan, forward(same, attributes(true)));
    }
  }
  return plan;
}

// Measured on the layers of ResNet-32 at batch 128 with two threads: 4 to 32 slices take the same
// time within some 8 %, 64 are slower. Sixteen leave work for as many threads.
cpu::BatchSlices slices_of(std::int64_t batch, Conv2dPass pass) {
  if (pass == Conv2dPass::backward_weights) return cpu::gradient_slices(batch);
  return {batch, std::min<std::int64_t>(batch, 16)};
}

ConvPlan make_plan(const Conv2dShape& s, Conv2dPass pass) {
  const OneThread one;
  ConvPlan plan;
  plan.slices = slices_of(s.batch, pass);
  plan.ohwi = ohwi_desc(s);
  try {
    const memory::desc any(weight_dims(s), f32, memory::format_tag::any);
    plan.longer = plan_slice(s, pass, plan.slices.size(0), any);
    plan.weights = plan.longer.weights;
    if (plan.slices.size(plan.slices.count - 1) != plan.slices.size(0)) {
      plan.shorter = plan_slice(s, pass, plan.slices.size(plan.slices.count - 1), plan.weights);
    } else {
      plan.shorter = plan.longer;
    }
    plan.good = plan.longer.good && plan.shorter.good;
    if (plan.good && plan.weights != plan.ohwi) {
      const bool back = pass == Conv2dPass::backward_weights;
      const dnnl::reorder::primitive_desc description(engine(), back ? plan.weights : plan.ohwi,
                                                      engine(), back ? plan.ohwi : plan.weights,
                                                      attributes(false));
      plan.reorder_scratchpad_bytes = description.scratchpad_desc().get_size();
      plan.reorder = dnnl::reorder(description);
    }
  } catch (const dnnl::error& e) {
    if (e.status != dnnl_unimplemented && e.status != dnnl_invalid_arguments) {
      fail("conv2d: oneDNN cannot plan batch {}, {}x{}x{} to {} channels: {}", s.batch, s.in_h,
           s.in_w, s.in_c, s.out_c, e.what());
    }
    plan.good = false;
  }
  return plan;
}

}  // namespace

const ConvPlan* find_conv_plan(const Conv2dShape& s, Conv2dPass pass) {
  using Key = std::array<std::int64_t, 13>;
  static std::mutex mutex;
  static std::map<Key, std::unique_ptr<const ConvPlan>> plans;
  const Key key{s.batch,    s.in_h,     s.in_w,  s.in_c,  s.out_c,  s.kernel_h,        s.kernel_w,
                s.stride_h, s.stride_w, s.pad_h, s.pad_w, s.groups, std::int64_t(pass)};
  const std::lock_guard lock(mutex);
  auto& plan = plans[key];
  if (!plan) plan = std::make_unique<const ConvPlan>(make_plan(s, pass));
  return plan->good ? plan.get() : nullptr;
}

}  // namespace ek::kernels::onednn
#endif
