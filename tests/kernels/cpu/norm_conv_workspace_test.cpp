// The workspace that norm_conv's vjp asks for is enough where a slice needs all of it at once: the
// activations are not kept, and statistics have a derivative.
#include "kernels/norm_conv.h"

#include <new>

#include "tests/kernels/conv/conv_run.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using namespace ek::test;
using ek::bf16;

namespace {

// A byte for each of `bytes`, aligned to 64, which is what Workspace promises.
struct Memory {
  explicit Memory(std::size_t bytes)
      : data(::operator new[](std::max<std::size_t>(bytes, 1), std::align_val_t(64))) {}
  ~Memory() { ::operator delete[](data, std::align_val_t(64)); }
  Memory(const Memory&) = delete;
  void* data;
};

template <class T>
struct Gradients {
  std::vector<T> dy;
  std::vector<Acc<T>> dmean, dvar, dgamma, dbeta, dweight;
};

// The vjp of a unit on numbers that depend on its shape alone.
template <class T>
Gradients<T> vjp(const Conv2dShape& conv, bool act_is_kept) {
  using A = Acc<T>;
  const NormConvShape shape{conv};
  const std::int64_t rows = conv.batch * conv.in_h * conv.in_w, in_c = conv.in_c;
  const auto y = random_numbers<T>(conv.input_size(), 1);
  const auto out = random_numbers<T>(conv.output_size(), 2);
  const auto dout = random_numbers<T>(conv.output_size(), 3);
  const auto mean = random_numbers<A>(in_c, 4), gamma = random_numbers<A>(in_c, 5),
             beta = random_numbers<A>(in_c, 6), out_mean = random_numbers<A>(conv.out_c, 7),
             dout_mean = random_numbers<A>(conv.out_c, 8),
             dout_var = random_numbers<A>(conv.out_c, 9);
  const std::vector<A> var(std::size_t(in_c), A(0.5));
  const NormConvInput<T> input{y.data(),   nullptr,      mean.data(),
                               var.data(), gamma.data(), beta.data()};
  std::vector<T> act(y.size());
  norm_act_forward<Cpu, T>(
      {}, {rows, in_c, shape.eps, shape.relu, mean.data(), var.data(), gamma.data(), beta.data()},
      y.data(), nullptr, act.data());

  const auto weight = random_numbers<A>(conv.weight_size(), 10);
  const Memory pack(conv2d_pack_bytes<Cpu, T>(conv, Conv2dPass::backward_data));
  ConvPack packed{weight.data()};
  if (conv2d_pack_bytes<Cpu, T>(conv, Conv2dPass::backward_data) > 0) {
    conv2d_pack<Cpu, T>({}, conv, Conv2dPass::backward_data, weight.data(), pack.data);
    packed.data = pack.data;
  }
  const std::size_t bytes = norm_conv_workspace_bytes<Cpu, T>(shape, NormConvPass::vjp);
  const Memory workspace(bytes);
  const std::vector<A> none(static_cast<std::size_t>(in_c));
  Gradients<T> g{std::vector<T>(y.size()), none, none, none, none, std::vector<A>(weight.size())};
  norm_conv_vjp<Cpu, T>({}, shape, input,
                        {act_is_kept ? act.data() : nullptr, out.data(), out_mean.data()}, packed,
                        {nullptr, dout.data(), dout_mean.data(), dout_var.data()},
                        {g.dy.data(), nullptr, g.dmean.data(), g.dvar.data(), g.dgamma.data(),
                         g.dbeta.data(), g.dweight.data()},
                        {workspace.data, bytes});
  return g;
}

}  // namespace

TEMPLATE_TEST_CASE("norm_conv_vjp has room for activations, statistics and scratch", "", float,
                   double, bf16) {
  for (const Conv2dShape& conv : ek::reference::shapes) {
    CAPTURE(ek::reference::describe(conv));
    const auto kept = vjp<TestType>(conv, true), again = vjp<TestType>(conv, false);
    REQUIRE(same_bits(again.dy, kept.dy));
    REQUIRE(same_bits(again.dmean, kept.dmean));
    REQUIRE(same_bits(again.dvar, kept.dvar));
    REQUIRE(same_bits(again.dgamma, kept.dgamma));
    REQUIRE(same_bits(again.dbeta, kept.dbeta));
    REQUIRE(same_bits(again.dweight, kept.dweight));
  }
}
