#ifdef EK_HAS_ONEDNN
#include "kernels/cpu/conv/onednn_conv_plan.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "kernels/base/error.h"

namespace ek::kernels::onednn {
namespace {

constexpr auto f32 = DataType::f32;

memory::desc image_desc(std::int64_t batch, std::int64_t h, std::int64_t w, std::int64_t c,
                        DataType type) {
  return {{batch, c, h, w}, type, memory::format_tag::nhwc};
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

memory::desc any_weights(const Conv2dShape& s, DataType type) {
  return {weight_dims(s), type, memory::format_tag::any};
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

// What oneDNN offers for a convolution, and how to make the primitive.
struct Offer {
  memory::desc weights;
  std::size_t scratchpad_bytes;
  bool good;  // its reference loops are far slower than the plain path here
  std::function<dnnl::primitive()> make;
};

template <class Primitive, class Description>
Offer offer_of(const Description& description, const memory::desc& weights) {
  const std::string_view name = description.impl_info_str();
  return {weights, description.scratchpad_desc().get_size(),
          name.find("ref") == std::string_view::npos,
          [description]() -> dnnl::primitive { return Primitive(description); }};
}

Convolution convolution(const Conv2dShape& s, const memory::desc& weights, DataType src,
                        DataType dst) {
  return {image_desc(s.batch, s.in_h, s.in_w, s.in_c, src),
          weights,
          image_desc(s.batch, s.out_h(), s.out_w(), s.out_c, dst),
          {s.stride_h, s.stride_w},
          {s.pad_h, s.pad_w}};
}

Offer forward_offer(const Convolution& c, bool accumulate) {
  const auto description = forward(c, attributes(accumulate));
  return offer_of<dnnl::convolution_forward>(description, description.weights_desc());
}

Offer backward_offer(const Conv2dShape& s, const Convolution& c, Conv2dPass pass, DataType type) {
  Convolution any = c;
  any.weights = any_weights(s, type);
  const auto hint = forward(any, attributes(false));
  if (pass == Conv2dPass::backward_data) {
    const auto description = backward_data(c, attributes(false), hint);
    return offer_of<dnnl::convolution_backward_data>(description, description.weights_desc());
  }
  const auto description = backward_weights(c, attributes(false), hint);
  return offer_of<dnnl::convolution_backward_weights>(description, description.diff_weights_desc());
}

DataType weight_type(Conv2dPass pass, DataType type) {
  return pass == Conv2dPass::backward_weights ? f32 : type;
}

std::unique_ptr<const WeightLayout> make_layout(Conv2dShape s, Conv2dPass pass, DataType type) {
  const OneThread one;
  s.batch = 8;
  auto layout = std::make_unique<WeightLayout>();
  layout->ohwi = ohwi_desc(s);
  const Convolution any = convolution(s, any_weights(s, weight_type(pass, type)), type, type);
  try {
    if (pass == Conv2dPass::forward) {
      const Offer chosen = forward_offer(any, false);
      const Convolution tangent = convolution(s, chosen.weights, type, f32);
      if (!chosen.good || !forward_offer(tangent, false).good ||
          !forward_offer(tangent, true).good) {
        return nullptr;
      }
      layout->blocked = chosen.weights;
    } else {
      const Offer chosen = backward_offer(s, any, pass, type);
      if (!chosen.good) return nullptr;
      layout->blocked = chosen.weights;
    }
    if (layout->blocked != layout->ohwi) {
      const bool back = pass == Conv2dPass::backward_weights;
      const dnnl::reorder::primitive_desc description(
          engine(), back ? layout->blocked : layout->ohwi, engine(),
          back ? layout->ohwi : layout->blocked, attributes(false));
      layout->reorder_scratchpad_bytes = description.scratchpad_desc().get_size();
      layout->reorder = dnnl::reorder(description);
    }
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments) return nullptr;
    fail("conv2d: oneDNN cannot plan {}x{}x{} to {} channels: {}", s.in_h, s.in_w, s.in_c, s.out_c,
         e.what());
  }
  return layout;
}

std::unique_ptr<const SlicePlan> make_plan(const Conv2dShape& s, Conv2dPass pass, DataType type,
                                           const WeightLayout& layout) {
  const OneThread one;
  const bool tangent = pass == Conv2dPass::tangent;
  const Convolution c = convolution(s, layout.blocked, type, tangent ? f32 : type);
  auto plan = std::make_unique<SlicePlan>();
  plan->src = c.src;
  plan->weights = c.weights;
  plan->dst = c.dst;
  const auto take = [&](const Offer& offer) {
    plan->scratchpad_bytes = std::max(plan->scratchpad_bytes, offer.scratchpad_bytes);
    return offer.make();
  };
  try {
    if (pass == Conv2dPass::forward || tangent) {
      plan->primitive = take(forward_offer(c, false));
      if (tangent) plan->accumulating = take(forward_offer(c, true));
    } else {
      plan->primitive = take(backward_offer(s, c, pass, type));
    }
  } catch (const dnnl::error& e) {
    fail("conv2d: oneDNN plans eight images of {}x{}x{} to {} channels, but not {}: {}", s.in_h,
         s.in_w, s.in_c, s.out_c, s.batch, e.what());
  }
  return plan;
}

using Key = std::array<std::int64_t, 14>;
Key key_of(const Conv2dShape& s, Conv2dPass pass, DataType type) {
  return {
      s.batch,    s.in_h,     s.in_w,  s.in_c,  s.out_c,  s.kernel_h,         s.kernel_w,
      s.stride_h, s.stride_w, s.pad_h, s.pad_w, s.groups, std::int64_t(pass), std::int64_t(type)};
}

}  // namespace

const WeightLayout* find_weight_layout(const Conv2dShape& shape, Conv2dPass pass, DataType type) {
  static std::mutex mutex;
  static std::map<Key, std::unique_ptr<const WeightLayout>> layouts;
  Conv2dShape any_batch = shape;
  any_batch.batch = 0;
  if (pass == Conv2dPass::tangent) pass = Conv2dPass::forward;
  const std::lock_guard lock(mutex);
  const auto [at, is_new] = layouts.try_emplace(key_of(any_batch, pass, type));
  if (is_new) at->second = make_layout(shape, pass, type);
  return at->second.get();
}

const SlicePlan& find_slice_plan(const Conv2dShape& shape, Conv2dPass pass, DataType type) {
  static std::mutex mutex;
  static std::map<Key, std::unique_ptr<const SlicePlan>> plans;
  const WeightLayout* layout = find_weight_layout(shape, pass, type);
  require(layout != nullptr, "conv2d: oneDNN has no plan for {}x{}x{} to {} channels", shape.in_h,
          shape.in_w, shape.in_c, shape.out_c);
  const std::lock_guard lock(mutex);
  auto& plan = plans[key_of(shape, pass, type)];
  if (!plan) plan = make_plan(shape, pass, type, *layout);
  return *plan;
}

}  // namespace ek::kernels::onednn
#endif
