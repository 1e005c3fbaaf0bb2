// The forward pass of norm_conv, and its workspace sizes; kernels/norm_conv.h states the maths.
#include "kernels/norm_conv.h"

#include "kernels/cpu/norm/norm_conv_memory.h"
#include "kernels/cpu/norm/norm_conv_slices.h"

namespace ek::kernels {

using cpu::ConvSlices;
using cpu::SliceRows;

template <class B, class T>
std::size_t norm_conv_workspace_bytes(const NormConvShape& shape, NormConvPass pass) {
  const cpu::BatchSlices slices = cpu::norm_conv_slices<T>(shape.conv);
  return cpu::norm_conv_memory<T>(shape, pass, slices).total(slices);
}

template <class B, class T>
void norm_conv_forward(Stream, const NormConvShape& shape, const NormConvInput<T>& input,
                       ConvPack weight, const NormConvOutput<T>& output, Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  const cpu::BatchSlices slices = cpu::norm_conv_slices<T>(s);
  const ConvSlices<T> conv(s, Conv2dPass::forward, slices);
  cpu::Scratch scratch(workspace, "norm_conv_forward");
  const cpu::Partials moments = cpu::take_partials(scratch, slices, s.out_c);
  cpu::ThreadMemory memory(scratch, slices,
                           cpu::norm_conv_memory<T>(shape, NormConvPass::forward, slices));

  cpu::for_each_slice(slices, [&](std::int64_t slice, int thread) {
    const SliceRows rows(s, slices, slice);
    cpu::Scratch own = memory.of(thread);
    const T* act = input.y + rows.in;
    if (shape.normalizes) {
      T* written = output.act ? output.act + rows.in : own.take<T>(rows.in_rows * s.in_c);
      norm_act_forward<B, T>({}, cpu::norm_params(shape, input, rows.in_rows), act,
                             cpu::at_offset(input.shortcut, rows.in), written);
      act = written;
    }
    T* out = output.out + rows.out;
    conv.forward(slice, act, weight, out, own.take<std::byte>(std::int64_t(conv.scratch_bytes())));
    if (!output.out_mean) return;
    cpu::slice_moments(rows.out_rows, s.out_c, out, moments.first(slice), moments.second(slice));
  });
  if (!output.out_mean) return;
  cpu::merge_partials(moments,
                      [&](std::int64_t slice) { return SliceRows(s, slices, slice).out_rows; });
  cpu::finish_moments<T>(cpu::out_rows_of(s), s.out_c, moments.first(0), moments.second(0),
                         output.out_mean, output.out_var);
}

template decltype(norm_conv_workspace_bytes<Cpu, bf16>) norm_conv_workspace_bytes<Cpu, bf16>;
template decltype(norm_conv_workspace_bytes<Cpu, float>) norm_conv_workspace_bytes<Cpu, float>;
template decltype(norm_conv_workspace_bytes<Cpu, double>) norm_conv_workspace_bytes<Cpu, double>;
template decltype(norm_conv_forward<Cpu, bf16>) norm_conv_forward<Cpu, bf16>;
template decltype(norm_conv_forward<Cpu, float>) norm_conv_forward<Cpu, float>;
template decltype(norm_conv_forward<Cpu, double>) norm_conv_forward<Cpu, double>;

}  // namespace ek::kernels
