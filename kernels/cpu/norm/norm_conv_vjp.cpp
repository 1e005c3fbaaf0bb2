// The cotangents of norm_conv; kernels/norm_conv.h states the maths.
#include "kernels/cpu/norm/norm_conv_memory.h"
#include "kernels/cpu/norm/norm_conv_slices.h"

namespace ek::kernels {

template <class B, class T>
void norm_conv_vjp(Stream, const NormConvShape& shape, const NormConvInput<T>& input,
                   const NormConvSaved<T>& saved, ConvPack weight,
                   const NormConvCotangents<T>& cotangents, const NormConvGradients<T>& gradients,
                   Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  const cpu::BatchSlices slices = cpu::norm_conv_slices<T>(s);
  const cpu::ConvSlices<T> to_data(s, Conv2dPass::backward_data, slices);
  const cpu::GradientSlices<T> to_weights(s, slices);
  cpu::Scratch scratch(workspace, "norm_conv_vjp");
  const cpu::Partials sums = cpu::take_partials(scratch, slices, s.in_c);
  Acc<T>* partials = scratch.take<Acc<T>>(slices.count * to_weights.partial_stride());
  std::byte* sum_scratch = scratch.take<std::byte>(std::int64_t(to_weights.sum_bytes()));
  const cpu::ThreadMemory memory(scratch, slices,
                                 cpu::norm_conv_memory<T>(shape, NormConvPass::vjp, slices));

  cpu::for_each_slice(slices, [&](std::int64_t slice, int thread) {
    const cpu::SliceRows rows(s, slices, slice);
    cpu::Scratch own = memory.of(thread);
    const T* dout = cotangents.dout + rows.out;
    if (cotangents.dout_mean) {
      T* with_statistics = own.take<T>(rows.out_rows * s.out_c);
      cpu::slice_stats_vjp(rows.out_rows, cpu::out_rows_of(s), s.out_c, saved.out + rows.out,
                           saved.out_mean, cotangents.dout_mean, cotangents.dout_var, dout,
                           with_statistics);
      dout = with_statistics;
    }
    T* dact = nullptr;
    if (gradients.dy) {
      dact = shape.normalizes ? own.take<T>(rows.in_rows * s.in_c) : gradients.dy + rows.in;
    }
    std::byte* conv_scratch = own.take<std::byte>(
        std::int64_t(std::max(to_data.scratch_bytes(), to_weights.scratch_bytes())));
    const T* act = cpu::slice_activation(shape, input, saved.act, rows, own);
    to_weights.compute(slice, act, dout, partials, conv_scratch);
    if (!gradients.dy) return;
    to_data.backward_data(slice, dout, weight, dact, conv_scratch);
    if (!shape.normalizes) return;
    cpu::slice_act_vjp<T>(cpu::norm_params(shape, input, rows.in_rows), input.y + rows.in, act,
                          dact, cpu::at_offset(cotangents.dact, rows.in), gradients.dy + rows.in,
                          cpu::at_offset(gradients.dshortcut, rows.in), sums.first(slice),
                          sums.second(slice));
  });
  to_weights.sum(partials, gradients.dweight, sum_scratch);
  if (!gradients.dy || !shape.normalizes) return;
  cpu::sum_partials(sums);
  const NormActCotangents<T> per_channel{nullptr,        nullptr,          gradients.dmean,
                                         gradients.dvar, gradients.dgamma, gradients.dbeta};
  cpu::finish_act_vjp(cpu::norm_params(shape, input, s.batch * s.in_h * s.in_w), sums.first(0),
                      sums.second(0), per_channel);
}

template decltype(norm_conv_vjp<Cpu, bf16>) norm_conv_vjp<Cpu, bf16>;
template decltype(norm_conv_vjp<Cpu, float>) norm_conv_vjp<Cpu, float>;
template decltype(norm_conv_vjp<Cpu, double>) norm_conv_vjp<Cpu, double>;

}  // namespace ek::kernels
