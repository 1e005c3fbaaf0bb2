// The tangents of norm_conv; kernels/norm_conv.h states the maths.
#include "kernels/base/error.h"
#include "kernels/cpu/norm/norm_conv_memory.h"
#include "kernels/cpu/norm/norm_conv_slices.h"

namespace ek::kernels {

template <class B, class T>
void norm_conv_jvp(Stream, const NormConvShape& shape, const NormConvInput<T>& input,
                   const NormConvSaved<T>& saved, ConvPack weight,
                   const NormConvTangents<T>& tangents, const NormConvOutput<T>& output,
                   Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  const bool to_act = shape.normalizes ? tangents.y || tangents.shortcut || tangents.mean ||
                                             tangents.var || tangents.gamma || tangents.beta
                                       : tangents.y != nullptr;
  require(to_act || tangents.weight.data, "norm_conv_jvp: a tangent expected, all are zero");
  require(to_act || !output.act, "norm_conv_jvp: the tangent of act is zero and has no output");
  const cpu::BatchSlices slices = cpu::norm_conv_slices<T>(s);
  const bool both = to_act && tangents.weight.data;
  const cpu::ConvSlices<T> conv(s, both ? Conv2dPass::tangent : Conv2dPass::forward, slices);
  cpu::Scratch scratch(workspace, "norm_conv_jvp");
  const cpu::Partials sums = cpu::take_partials(scratch, slices, s.out_c);
  const cpu::ThreadMemory memory(scratch, slices,
                                 cpu::norm_conv_memory<T>(shape, NormConvPass::jvp, slices));

  cpu::for_each_slice(slices, [&](std::int64_t slice, int thread) {
    const cpu::SliceRows rows(s, slices, slice);
    cpu::Scratch own = memory.of(thread);
    const T* act = cpu::slice_activation(shape, input, saved.act, rows, own);
    const T* act_tangent = cpu::at_offset(tangents.y, rows.in);
    if (shape.normalizes && to_act) {
      T* written = output.act ? output.act + rows.in : own.take<T>(rows.in_rows * s.in_c);
      const NormActTangents<T> in{act_tangent,    cpu::at_offset(tangents.shortcut, rows.in),
                                  tangents.mean,  tangents.var,
                                  tangents.gamma, tangents.beta};
      norm_act_jvp<B, T>({}, cpu::norm_params(shape, input, rows.in_rows), input.y + rows.in, act,
                         in, written);
      act_tangent = written;
    }
    T* out_tangent = output.out + rows.out;
    std::byte* conv_scratch = own.take<std::byte>(std::int64_t(conv.scratch_bytes()));
    if (both) {
      conv.tangent(slice, act, weight, act_tangent, tangents.weight, out_tangent, conv_scratch);
    } else if (to_act) {
      conv.forward(slice, act_tangent, weight, out_tangent, conv_scratch);
    } else {
      conv.forward(slice, act, tangents.weight, out_tangent, conv_scratch);
    }
    if (!output.out_mean) return;
    cpu::slice_stats_jvp(rows.out_rows, s.out_c, saved.out + rows.out, saved.out_mean, out_tangent,
                         sums.first(slice), sums.second(slice));
  });
  if (!output.out_mean) return;
  cpu::sum_partials(sums);
  cpu::finish_stats_jvp<T>(cpu::out_rows_of(s), s.out_c, sums.first(0), sums.second(0),
                           output.out_mean, output.out_var);
}

template decltype(norm_conv_jvp<Cpu, bf16>) norm_conv_jvp<Cpu, bf16>;
template decltype(norm_conv_jvp<Cpu, float>) norm_conv_jvp<Cpu, float>;
template decltype(norm_conv_jvp<Cpu, double>) norm_conv_jvp<Cpu, double>;

}  // namespace ek::kernels
