#ifdef EK_HAS_ONEDNN
#include "kernels/cpu/conv_onednn.h"

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "kernels/cpu/batch_slices.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/scratch.h"

namespace ek::kernels::cpu {
namespace {

using dnnl::memory;
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

// One slice length: its primitive, and for a tangent the one that adds to what y holds.
struct SlicePlan {
  dnnl::primitive primitive, accumulating;
  memory::desc src, weights, dst;
  std::size_t scratchpad_bytes = 0;
  bool good = false;
};

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
dnnl::primitive take_primitive(SlicePlan& plan, const Description& description) {
  plan.scratchpad_bytes = std::max(plan.scratchpad_bytes, description.scratchpad_desc().get_size());
  // The reference loops of oneDNN are far slower than the plain path here.
  const std::string_view name = description.impl_info_str();
  plan.good = name.find("ref") == std::string_view::npos;
  return Primitive(description);
}

SlicePlan plan_slice(const Conv2dShape& s, Conv2dPass pass, std::int64_t batch,
                     const memory::desc& weights) {
  SlicePlan plan;
  plan.src = image_desc(batch, s.in_h, s.in_w, s.in_c);
  plan.dst = image_desc(batch, s.out_h(), s.out_w(), s.out_c);
  const onednn::Convolution c{
      plan.src, weights, plan.dst, {s.stride_h, s.stride_w}, {s.pad_h, s.pad_w}};
  const auto forward = onednn::forward(c, attributes(false));
  if (pass == Conv2dPass::backward_data) {
    const auto description = onednn::backward_data(c, attributes(false), forward);
    plan.weights = description.weights_desc();
    plan.primitive = take_primitive<dnnl::convolution_backward_data>(plan, description);
  } else if (pass == Conv2dPass::backward_weights) {
    const auto description = onednn::backward_weights(c, attributes(false), forward);
    plan.weights = description.diff_weights_desc();
    plan.primitive = take_primitive<dnnl::convolution_backward_weights>(plan, description);
  } else {
    plan.weights = forward.weights_desc();
    plan.primitive = take_primitive<dnnl::convolution_forward>(plan, forward);
    if (pass == Conv2dPass::tangent && plan.good) {
      const onednn::Convolution same{c.src, plan.weights, c.dst, c.strides, c.padding};
      plan.accumulating =
          take_primitive<dnnl::convolution_forward>(plan, onednn::forward(same, attributes(true)));
    }
  }
  return plan;
}

struct Plan {
  BatchSlices slices{0, 1};
  SlicePlan longer, shorter;  // slices of the batch differ by one image at most
  memory::desc ohwi, weights;
  dnnl::reorder reorder;  // between ohwi and weights, where they differ
  std::size_t reorder_scratchpad_bytes = 0;
  bool good = false;

  const SlicePlan& of(std::int64_t slice) const {
    return slices.size(slice) == slices.size(0) ? longer : shorter;
  }
  std::size_t scratchpad_bytes() const {
    return padded_bytes<char>(
        std::int64_t(std::max(longer.scratchpad_bytes, shorter.scratchpad_bytes)));
  }
  std::size_t weights_bytes() const { return padded_bytes<char>(std::int64_t(weights.get_size())); }
};

// Measured on the layers of ResNet-32 at batch 128 with two threads: 4 to 32 slices take the same
// time within 5 %, and no more than one primitive for the whole batch on all threads.
BatchSlices slices_of(std::int64_t batch, Conv2dPass pass) {
  if (pass == Conv2dPass::backward_weights) return gradient_slices(batch);
  return {batch, std::min<std::int64_t>(batch, 16)};
}

Plan make_plan(const Conv2dShape& s, Conv2dPass pass) {
  const onednn::OneThread one;
  Plan plan;
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
      const auto& engine = onednn::engine();
      const dnnl::reorder::primitive_desc description(engine, back ? plan.weights : plan.ohwi,
                                                      engine, back ? plan.ohwi : plan.weights,
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

// The plan of a shape and pass, made once; null where the plain path is to be taken.
const Plan* find_plan(const Conv2dShape& s, Conv2dPass pass) {
  using Key = std::array<std::int64_t, 13>;
  static std::mutex mutex;
  static std::map<Key, std::unique_ptr<const Plan>> plans;
  const Key key{s.batch,    s.in_h,     s.in_w,  s.in_c,  s.out_c,  s.kernel_h,        s.kernel_w,
                s.stride_h, s.stride_w, s.pad_h, s.pad_w, s.groups, std::int64_t(pass)};
  const std::lock_guard lock(mutex);
  auto& plan = plans[key];
  if (!plan) plan = std::make_unique<const Plan>(make_plan(s, pass));
  return plan->good ? plan.get() : nullptr;
}

std::size_t workspace_bytes(const Plan& plan, Conv2dPass pass) {
  const bool reorders = bool(plan.reorder);
  std::size_t bytes = std::size_t(plan.slices.count) * plan.scratchpad_bytes();
  bytes += padded_bytes<char>(std::int64_t(plan.reorder_scratchpad_bytes));
  if (pass == Conv2dPass::backward_weights) {
    bytes += (std::size_t(plan.slices.count) + reorders) * plan.weights_bytes();
  } else if (reorders) {
    bytes += (pass == Conv2dPass::tangent ? 2 : 1) * plan.weights_bytes();
  }
  return bytes;
}

memory wrap(const memory::desc& desc, const void* data) {
  return memory(desc, onednn::engine(), const_cast<void*>(data));
}

memory::desc bytes_desc(std::size_t bytes) {
  return {{std::int64_t(bytes)}, memory::data_type::u8, memory::format_tag::a};
}

// One call of a pass: the plan and what it takes from the workspace.
class Run {
 public:
  Run(const Plan& plan, const char* op, Workspace workspace)
      : plan_(plan), op_(op), scratch_(workspace, op) {
    scratchpads_ = take(std::size_t(plan.slices.count) * plan.scratchpad_bytes());
    reorder_scratchpad_ = take(plan.reorder_scratchpad_bytes);
  }

  std::byte* take(std::size_t bytes) { return scratch_.take<std::byte>(std::int64_t(bytes)); }

  void reorder(const memory& from, const memory& to) const {
    dnnl::stream stream(onednn::engine());
    plan_.reorder.execute(
        stream, {{DNNL_ARG_FROM, from},
                 {DNNL_ARG_TO, to},
                 {DNNL_ARG_SCRATCHPAD,
                  wrap(bytes_desc(plan_.reorder_scratchpad_bytes), reorder_scratchpad_)}});
  }

  // The weights in the layout of the plan.
  memory weights(const float* ohwi) {
    if (!plan_.reorder) return wrap(plan_.weights, ohwi);
    memory blocked = wrap(plan_.weights, take(plan_.weights.get_size()));
    reorder(wrap(plan_.ohwi, ohwi), blocked);
    return blocked;
  }

  // body(slice, stream, scratchpad) for every slice. An exception must not leave the threads.
  template <class Body>
  void for_slices(Body body) const {
    std::exception_ptr error;
#pragma omp parallel for schedule(dynamic, 1)
    for (std::int64_t slice = 0; slice < plan_.slices.count; ++slice) {
      try {
        const onednn::OneThread one;
        dnnl::stream stream(onednn::engine());
        body(slice, stream,
             wrap(bytes_desc(plan_.scratchpad_bytes()),
                  scratchpads_ + std::size_t(slice) * plan_.scratchpad_bytes()));
      } catch (...) {
#pragma omp critical(ek_conv_onednn_error)
        error = std::current_exception();
      }
    }
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const dnnl::error& e) {
      fail("{}: oneDNN failed: {}", op_, e.what());
    }
  }

 private:
  const Plan& plan_;
  const char* op_;
  Scratch scratch_;
  std::byte* scratchpads_;
  std::byte* reorder_scratchpad_;
};

}  // namespace

std::optional<std::size_t> onednn_workspace_bytes(const Conv2dShape& shape, Conv2dPass pass) {
  const Plan* plan = find_plan(shape, pass);
  if (!plan) return std::nullopt;
  return workspace_bytes(*plan, pass);
}

bool onednn_forward(const Conv2dShape& s, const float* x, const float* weight, float* y,
                    Workspace workspace) {
  const Plan* plan = find_plan(s, Conv2dPass::forward);
  if (!plan) return false;
  Run run(*plan, "conv2d_forward", workspace);
  const memory weights = run.weights(weight);
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  run.for_slices([&](std::int64_t slice, dnnl::stream& stream, const memory& scratchpad) {
    const SlicePlan& part = plan->of(slice);
    const std::int64_t n = plan->slices.begin(slice);
    part.primitive.execute(stream, {{DNNL_ARG_SRC, wrap(part.src, x + n * x_image)},
                                    {DNNL_ARG_WEIGHTS, weights},
                                    {DNNL_ARG_DST, wrap(part.dst, y + n * y_image)},
                                    {DNNL_ARG_SCRATCHPAD, scratchpad}});
  });
  return true;
}

bool onednn_tangent(const Conv2dShape& s, const float* x, const float* weight,
                    const float* x_tangent, const float* weight_tangent, float* y_tangent,
                    Workspace workspace) {
  const Plan* plan = find_plan(s, Conv2dPass::tangent);
  if (!plan) return false;
  Run run(*plan, "conv2d_tangent", workspace);
  const memory weights = run.weights(weight), tangents = run.weights(weight_tangent);
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  run.for_slices([&](std::int64_t slice, dnnl::stream& stream, const memory& scratchpad) {
    const SlicePlan& part = plan->of(slice);
    const std::int64_t n = plan->slices.begin(slice);
    const memory dst = wrap(part.dst, y_tangent + n * y_image);
    part.primitive.execute(stream, {{DNNL_ARG_SRC, wrap(part.src, x_tangent + n * x_image)},
                                    {DNNL_ARG_WEIGHTS, weights},
                                    {DNNL_ARG_DST, dst},
                                    {DNNL_ARG_SCRATCHPAD, scratchpad}});
    part.accumulating.execute(stream, {{DNNL_ARG_SRC, wrap(part.src, x + n * x_image)},
                                       {DNNL_ARG_WEIGHTS, tangents},
                                       {DNNL_ARG_DST, dst},
                                       {DNNL_ARG_SCRATCHPAD, scratchpad}});
  });
  return true;
}

bool onednn_backward_data(const Conv2dShape& s, const float* dy, const float* weight, float* dx,
                          Workspace workspace) {
  const Plan* plan = find_plan(s, Conv2dPass::backward_data);
  if (!plan) return false;
  Run run(*plan, "conv2d_backward_data", workspace);
  const memory weights = run.weights(weight);
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  run.for_slices([&](std::int64_t slice, dnnl::stream& stream, const memory& scratchpad) {
    const SlicePlan& part = plan->of(slice);
    const std::int64_t n = plan->slices.begin(slice);
    part.primitive.execute(stream, {{DNNL_ARG_DIFF_DST, wrap(part.dst, dy + n * y_image)},
                                    {DNNL_ARG_WEIGHTS, weights},
                                    {DNNL_ARG_DIFF_SRC, wrap(part.src, dx + n * x_image)},
                                    {DNNL_ARG_SCRATCHPAD, scratchpad}});
  });
  return true;
}

bool onednn_backward_weights(const Conv2dShape& s, const float* x, const float* dy, float* dweight,
                             Workspace workspace) {
  const Plan* plan = find_plan(s, Conv2dPass::backward_weights);
  if (!plan) return false;
  Run run(*plan, "conv2d_backward_weights", workspace);
  const std::int64_t floats = std::int64_t(plan->weights_bytes() / sizeof(float));
  float* partials =
      reinterpret_cast<float*>(run.take(std::size_t(plan->slices.count) * plan->weights_bytes()));
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  run.for_slices([&](std::int64_t slice, dnnl::stream& stream, const memory& scratchpad) {
    const SlicePlan& part = plan->of(slice);
    const std::int64_t n = plan->slices.begin(slice);
    part.primitive.execute(stream,
                           {{DNNL_ARG_SRC, wrap(part.src, x + n * x_image)},
                            {DNNL_ARG_DIFF_DST, wrap(part.dst, dy + n * y_image)},
                            {DNNL_ARG_DIFF_WEIGHTS, wrap(plan->weights, partials + slice * floats)},
                            {DNNL_ARG_SCRATCHPAD, scratchpad}});
  });
  const std::int64_t used = std::int64_t(plan->weights.get_size() / sizeof(float));
  if (!plan->reorder) {
    sum_partials(plan->slices.count, used, floats, partials, dweight);
    return true;
  }
  float* total = reinterpret_cast<float*>(run.take(plan->weights_bytes()));
  sum_partials(plan->slices.count, used, floats, partials, total);
  run.reorder(wrap(plan->weights, total), wrap(plan->ohwi, dweight));
  return true;
}

}  // namespace ek::kernels::cpu
#endif
