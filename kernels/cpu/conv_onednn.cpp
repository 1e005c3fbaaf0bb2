#ifdef EK_HAS_ONEDNN
#include "kernels/cpu/conv_onednn.h"

#include <exception>

#include "kernels/cpu/onednn_conv_plan.h"

namespace ek::kernels::cpu {
namespace {

using dnnl::memory;
using onednn::ConvPlan;

std::size_t workspace_bytes(const ConvPlan& plan, Conv2dPass pass) {
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

struct Slice {
  std::int64_t number, first_image;
  const onednn::ConvSlicePlan& plan;
  dnnl::stream& stream;
  memory scratchpad;
};

// One call of a pass: the plan and what it takes from the workspace.
class Run {
 public:
  Run(const ConvPlan& plan, const char* op, Workspace workspace)
      : plan_(plan), scratch_(workspace, op) {
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

  // body(slice) for every slice of the batch, in parallel.
  template <class Body>
  void for_slices(Body body) const {
    std::exception_ptr error;  // must not leave the parallel region as an exception
#pragma omp parallel for schedule(dynamic, 1)
    for (std::int64_t slice = 0; slice < plan_.slices.count; ++slice) {
      try {
        const onednn::OneThread one;
        dnnl::stream stream(onednn::engine());
        body(Slice{slice, plan_.slices.begin(slice), plan_.of(slice), stream,
                   wrap(bytes_desc(plan_.scratchpad_bytes()),
                        scratchpads_ + std::size_t(slice) * plan_.scratchpad_bytes())});
      } catch (...) {
#pragma omp critical(ek_conv_onednn_error)
        error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
  }

 private:
  const ConvPlan& plan_;
  Scratch scratch_;
  std::byte* scratchpads_;
  std::byte* reorder_scratchpad_;
};

// body(plan, run) if oneDNN does this shape and pass; false otherwise. Errors become ek::Error.
template <class Body>
bool with_plan(const Conv2dShape& s, Conv2dPass pass, const char* op, Workspace workspace,
               Body body) {
  const ConvPlan* plan = onednn::find_conv_plan(s, pass);
  if (!plan) return false;
  try {
    Run run(*plan, op, workspace);
    body(*plan, run);
  } catch (const dnnl::error& e) {
    fail("{}: oneDNN failed with status {}: {}", op, int(e.status), e.what());
  }
  return true;
}

}  // namespace

std::optional<std::size_t> onednn_workspace_bytes(const Conv2dShape& shape, Conv2dPass pass) {
  const ConvPlan* plan = onednn::find_conv_plan(shape, pass);
  if (!plan) return std::nullopt;
  return workspace_bytes(*plan, pass);
}

bool onednn_forward(const Conv2dShape& s, const float* x, const float* weight, float* y,
                    Workspace workspace) {
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  const auto body = [&](const ConvPlan&, Run& run) {
    const memory weights = run.weights(weight);
    run.for_slices([&](const Slice& slice) {
      const std::int64_t n = slice.first_image;
      slice.plan.primitive.execute(slice.stream,
                                   {{DNNL_ARG_SRC, wrap(slice.plan.src, x + n * x_image)},
                                    {DNNL_ARG_WEIGHTS, weights},
                                    {DNNL_ARG_DST, wrap(slice.plan.dst, y + n * y_image)},
                                    {DNNL_ARG_SCRATCHPAD, slice.scratchpad}});
    });
  };
  return with_plan(s, Conv2dPass::forward, "conv2d_forward", workspace, body);
}

bool onednn_tangent(const Conv2dShape& s, const float* x, const float* weight,
                    const float* x_tangent, const float* weight_tangent, float* y_tangent,
                    Workspace workspace) {
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  const auto body = [&](const ConvPlan&, Run& run) {
    const memory weights = run.weights(weight), tangents = run.weights(weight_tangent);
    run.for_slices([&](const Slice& slice) {
      const std::int64_t n = slice.first_image;
      const memory dst = wrap(slice.plan.dst, y_tangent + n * y_image);
      slice.plan.primitive.execute(slice.stream,
                                   {{DNNL_ARG_SRC, wrap(slice.plan.src, x_tangent + n * x_image)},
                                    {DNNL_ARG_WEIGHTS, weights},
                                    {DNNL_ARG_DST, dst},
                                    {DNNL_ARG_SCRATCHPAD, slice.scratchpad}});
      slice.plan.accumulating.execute(slice.stream,
                                      {{DNNL_ARG_SRC, wrap(slice.plan.src, x + n * x_image)},
                                       {DNNL_ARG_WEIGHTS, tangents},
                                       {DNNL_ARG_DST, dst},
                                       {DNNL_ARG_SCRATCHPAD, slice.scratchpad}});
    });
  };
  return with_plan(s, Conv2dPass::tangent, "conv2d_tangent", workspace, body);
}

bool onednn_backward_data(const Conv2dShape& s, const float* dy, const float* weight, float* dx,
                          Workspace workspace) {
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  const auto body = [&](const ConvPlan&, Run& run) {
    const memory weights = run.weights(weight);
    run.for_slices([&](const Slice& slice) {
      const std::int64_t n = slice.first_image;
      slice.plan.primitive.execute(slice.stream,
                                   {{DNNL_ARG_DIFF_DST, wrap(slice.plan.dst, dy + n * y_image)},
                                    {DNNL_ARG_WEIGHTS, weights},
                                    {DNNL_ARG_DIFF_SRC, wrap(slice.plan.src, dx + n * x_image)},
                                    {DNNL_ARG_SCRATCHPAD, slice.scratchpad}});
    });
  };
  return with_plan(s, Conv2dPass::backward_data, "conv2d_backward_data", workspace, body);
}

bool onednn_backward_weights(const Conv2dShape& s, const float* x, const float* dy, float* dweight,
                             Workspace workspace) {
  const std::int64_t x_image = s.input_size() / s.batch, y_image = s.output_size() / s.batch;
  const auto body = [&](const ConvPlan& plan, Run& run) {
    // Partial gradients stay in the plan's layout, which may have padding, until they are summed.
    const std::int64_t count = std::int64_t(plan.weights.get_size() / sizeof(float));
    const std::int64_t stride = std::int64_t(plan.weights_bytes() / sizeof(float));
    const auto take_floats = [&](std::int64_t floats) {
      return reinterpret_cast<float*>(run.take(std::size_t(floats) * sizeof(float)));
    };
    float* partials = take_floats(plan.slices.count * stride);
    run.for_slices([&](const Slice& slice) {
      const std::int64_t n = slice.first_image;
      slice.plan.primitive.execute(
          slice.stream,
          {{DNNL_ARG_SRC, wrap(slice.plan.src, x + n * x_image)},
           {DNNL_ARG_DIFF_DST, wrap(slice.plan.dst, dy + n * y_image)},
           {DNNL_ARG_DIFF_WEIGHTS, wrap(plan.weights, partials + slice.number * stride)},
           {DNNL_ARG_SCRATCHPAD, slice.scratchpad}});
    });
    float* total = plan.reorder ? take_floats(stride) : dweight;
    sum_slices(plan.slices.count, count, stride, partials, total);
    if (plan.reorder) run.reorder(wrap(plan.weights, total), wrap(plan.ohwi, dweight));
  };
  return with_plan(s, Conv2dPass::backward_weights, "conv2d_backward_weights", workspace, body);
}

}  // namespace ek::kernels::cpu
#endif
