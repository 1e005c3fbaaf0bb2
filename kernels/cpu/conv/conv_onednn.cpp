#include "kernels/cpu/conv/conv_onednn.h"

#ifdef EK_HAS_ONEDNN

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <unordered_map>

#include "kernels/base/error.h"
#include "kernels/cpu/bf16_lanes.h"
#include "kernels/cpu/conv/onednn_conv_plan.h"
#include "kernels/cpu/scratch.h"

namespace ek::kernels::cpu {
namespace {

using dnnl::memory;
using onednn::SlicePlan;
using onednn::WeightLayout;

template <class T>
constexpr auto data_type = std::is_same_v<T, bf16> ? onednn::DataType::bf16 : onednn::DataType::f32;

// What a primitive takes: the argument's number, its layout, its memory.
struct Argument {
  int number;
  const memory::desc& desc;
  const void* data;
};

// Runs a primitive on the calling thread. Errors become ek::Error. The address of `primitive` has
// to stand for it as long as the thread lives.
//
// Memory objects are made once per thread and primitive, and then pointed at the operands: making
// them took a tenth of a bf16 training step (oneDNN 2.6 computes their sizes by divisions).
void execute(const char* op, const dnnl::primitive& primitive,
             std::initializer_list<Argument> arguments, std::size_t scratchpad_bytes,
             std::byte* scratch) {
  thread_local const dnnl::stream stream(onednn::engine());
  thread_local std::unordered_map<const dnnl::primitive*, std::unordered_map<int, memory>> made;
  try {
    const onednn::OneThread one;
    auto& memories = made[&primitive];
    const auto point = [&](const Argument& argument) {
      auto found = memories.find(argument.number);
      if (found == memories.end()) {
        found = memories.emplace(argument.number, memory(argument.desc, onednn::engine(), nullptr))
                    .first;
      }
      found->second.set_data_handle(const_cast<void*>(argument.data));
    };
    for (const Argument& argument : arguments) point(argument);
    if (scratchpad_bytes > 0) {
      const memory::desc bytes({std::int64_t(scratchpad_bytes)}, memory::data_type::u8,
                               memory::format_tag::a);
      point({DNNL_ARG_SCRATCHPAD, bytes, scratch});
    }
    primitive.execute(stream, memories);
  } catch (const dnnl::error& e) {
    fail("{}: oneDNN failed with status {}: {}", op, int(e.status), e.what());
  }
}

void reorder(const WeightLayout& layout, const memory::desc& from_desc, const void* from,
             const memory::desc& to_desc, void* to, std::byte* scratch) {
  execute("conv2d", layout.reorder, {{DNNL_ARG_FROM, from_desc, from}, {DNNL_ARG_TO, to_desc, to}},
          layout.reorder_scratchpad_bytes, scratch);
}

template <class T>
class OnednnConv final : public SliceConv<T> {
 public:
  OnednnConv(const Conv2dShape& slice, Conv2dPass pass)
      : plan_(onednn::find_slice_plan(slice, pass, data_type<T>)),
        sums_(pass == Conv2dPass::tangent && !std::is_same_v<T, float> ? slice.output_size() : 0) {}

  std::size_t scratch_bytes() const override {
    return padded_bytes<float>(sums_) + padded_bytes<char>(std::int64_t(plan_.scratchpad_bytes));
  }

  void forward(const T* x, ConvPack weight, T* y, std::byte* scratch) const override {
    convolve("conv2d_forward", plan_.primitive, x, weight, y, scratch);
  }

  void backward_data(const T* dy, ConvPack weight, T* dx, std::byte* scratch) const override {
    execute("conv2d_backward_data", plan_.primitive,
            {{DNNL_ARG_DIFF_DST, plan_.dst, dy},
             {DNNL_ARG_WEIGHTS, plan_.weights, weight.data},
             {DNNL_ARG_DIFF_SRC, plan_.src, dx}},
            plan_.scratchpad_bytes, scratch);
  }

  void tangent(const T* x, ConvPack weight, const T* x_tangent, ConvPack weight_tangent,
               T* y_tangent, std::byte* scratch) const override {
    float* sums = reinterpret_cast<float*>(scratch);
    if constexpr (std::is_same_v<T, float>) sums = y_tangent;
    std::byte* rest = scratch + padded_bytes<float>(sums_);
    convolve("conv2d_tangent", plan_.primitive, x_tangent, weight, sums, rest);
    convolve("conv2d_tangent", plan_.accumulating, x, weight_tangent, sums, rest);
    if constexpr (std::is_same_v<T, bf16>) round_sums(sums, y_tangent);
  }

 private:
  void convolve(const char* op, const dnnl::primitive& primitive, const T* x, ConvPack weight,
                void* y, std::byte* scratch) const {
    execute(op, primitive,
            {{DNNL_ARG_SRC, plan_.src, x},
             {DNNL_ARG_WEIGHTS, plan_.weights, weight.data},
             {DNNL_ARG_DST, plan_.dst, y}},
            plan_.scratchpad_bytes, scratch);
  }

  void round_sums(const float* sums, bf16* to) const {
    constexpr int lanes = 16;
    std::int64_t i = 0;
    for (; i + lanes <= sums_; i += lanes) {
      FloatLanes<lanes> values;
      std::memcpy(&values, sums + i, sizeof values);
      store_bf16<lanes>(values, to + i);
    }
    for (; i < sums_; ++i) store_bf16<1>(sums[i], to + i);
  }

  const SlicePlan& plan_;
  std::int64_t sums_;  // elements of a bf16 tangent before it is rounded
};

// Partial sums stay in oneDNN's layout, which may have padding, until they are added up.
template <class T>
class OnednnGradient final : public SliceGradient<T> {
 public:
  explicit OnednnGradient(const Conv2dShape& slice)
      : plan_(onednn::find_slice_plan(slice, Conv2dPass::backward_weights, data_type<T>)),
        layout_(*onednn::find_weight_layout(slice, Conv2dPass::backward_weights, data_type<T>)) {}

  std::size_t scratch_bytes() const override { return plan_.scratchpad_bytes; }
  std::int64_t partial_size() const override {
    return std::int64_t(plan_.weights.get_size() / sizeof(float));
  }
  void compute(const T* x, const T* dy, float* partial, std::byte* scratch) const override {
    // For a tap that only meets padding, the AMX implementation of oneDNN 2.6 multiplies zeros by
    // scratch memory that it has not written: there must not be a NaN.
    if constexpr (std::is_same_v<T, bf16>) {
      std::fill(scratch, scratch + plan_.scratchpad_bytes, std::byte(0));
    }
    execute("conv2d_backward_weights", plan_.primitive,
            {{DNNL_ARG_SRC, plan_.src, x},
             {DNNL_ARG_DIFF_DST, plan_.dst, dy},
             {DNNL_ARG_DIFF_WEIGHTS, plan_.weights, partial}},
            plan_.scratchpad_bytes, scratch);
  }

  bool is_ohwi() const override { return !layout_.reorder; }
  std::size_t to_ohwi_bytes() const override { return layout_.reorder_scratchpad_bytes; }
  void to_ohwi(const float* total, float* dweight, std::byte* scratch) const override {
    reorder(layout_, layout_.blocked, total, layout_.ohwi, dweight, scratch);
  }

 private:
  const SlicePlan& plan_;
  const WeightLayout& layout_;
};

}  // namespace

// The scratchpad of the reorder lies behind the weights.
template <class T>
std::optional<std::size_t> onednn_pack_bytes(const Conv2dShape& shape, Conv2dPass pass) {
  const WeightLayout* layout = onednn::find_weight_layout(shape, pass, data_type<T>);
  if (!layout) return std::nullopt;
  if (!layout->reorder) return 0;
  return padded_bytes<char>(std::int64_t(layout->blocked.get_size())) +
         padded_bytes<char>(std::int64_t(layout->reorder_scratchpad_bytes));
}

template <class T>
void onednn_pack(const Conv2dShape& shape, Conv2dPass pass, const float* ohwi, void* pack) {
  const WeightLayout& layout = *onednn::find_weight_layout(shape, pass, data_type<T>);
  const std::size_t offset = padded_bytes<char>(std::int64_t(layout.blocked.get_size()));
  reorder(layout, layout.ohwi, ohwi, layout.blocked, pack, static_cast<std::byte*>(pack) + offset);
}

template <class T>
SliceConvPtr<T> onednn_slice_conv(const Conv2dShape& slice, Conv2dPass pass) {
  if (!onednn::find_weight_layout(slice, pass, data_type<T>)) return nullptr;
  return std::make_shared<OnednnConv<T>>(slice, pass);
}

template <class T>
SliceGradientPtr<T> onednn_slice_gradient(const Conv2dShape& slice) {
  if (!onednn::find_weight_layout(slice, Conv2dPass::backward_weights, data_type<T>)) {
    return nullptr;
  }
  return std::make_shared<OnednnGradient<T>>(slice);
}

}  // namespace ek::kernels::cpu

#else

namespace ek::kernels::cpu {

template <class T>
std::optional<std::size_t> onednn_pack_bytes(const Conv2dShape&, Conv2dPass) {
  return std::nullopt;
}
template <class T>
void onednn_pack(const Conv2dShape&, Conv2dPass, const float*, void*) {}
template <class T>
SliceConvPtr<T> onednn_slice_conv(const Conv2dShape&, Conv2dPass) {
  return nullptr;
}
template <class T>
SliceGradientPtr<T> onednn_slice_gradient(const Conv2dShape&) {
  return nullptr;
}

}  // namespace ek::kernels::cpu
#endif

namespace ek::kernels::cpu {

template std::optional<std::size_t> onednn_pack_bytes<float>(const Conv2dShape&, Conv2dPass);
template std::optional<std::size_t> onednn_pack_bytes<bf16>(const Conv2dShape&, Conv2dPass);
template void onednn_pack<float>(const Conv2dShape&, Conv2dPass, const float*, void*);
template void onednn_pack<bf16>(const Conv2dShape&, Conv2dPass, const float*, void*);
template SliceConvPtr<float> onednn_slice_conv(const Conv2dShape&, Conv2dPass);
template SliceConvPtr<bf16> onednn_slice_conv(const Conv2dShape&, Conv2dPass);
template SliceGradientPtr<float> onednn_slice_gradient(const Conv2dShape&);
template SliceGradientPtr<bf16> onednn_slice_gradient(const Conv2dShape&);

}  // namespace ek::kernels::cpu
