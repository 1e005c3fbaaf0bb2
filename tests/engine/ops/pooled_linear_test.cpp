// The linear head, and running statistics: what is one launch on a device and a composition on the
// CPU.
#include "engine/graph/launch_trace.h"
#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/error_of.h"

namespace {

using namespace ek;

constexpr Device simt{Device::Kind::simt, 0};

Tensors head(const Tensors& in) {
  const ops::PooledLinear out = ops::pooled_linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor());
  return {out.features, out.logits};
}

Tensors inputs(bool bias, Device device) {
  Tensors in{random_tensor({3, 2, 3, 8}, 1), random_tensor({5, 8}, 2)};
  if (bias) in.push_back(random_tensor({5}, 3));
  for (Tensor& tensor : in) tensor = tensor.to(device);
  return in;
}

}  // namespace

TEST_CASE("pooled_linear: derivatives of every order, on the CPU and fused", "[pool]") {
  for (const Device device : {Device{}, simt}) {
    if (!is_available(device)) continue;
    INFO(device.str());
    // Finite differences are taken on the host.
    const auto there = [device](const Tensors& in) {
      Tensors moved, back;
      for (const Tensor& tensor : in) moved.push_back(ops::to_device(tensor, device));
      for (const Tensor& tensor : head(moved)) back.push_back(ops::to_device(tensor, {}));
      return back;
    };
    for (const bool bias : {true, false}) {
      check_gradients("pooled_linear", there, inputs(bias, {}));
      if (device == simt) check_fused_composition("pooled_linear", head, inputs(bias, device));
    }
    // Nobody differentiates features as a rule, and then a backward pass is two launches.
    const auto logits = [&](const Tensors& in) { return Tensors{there(in)[1]}; };
    check_gradients("pooled_linear, logits", logits, inputs(true, {}));
  }
}

TEST_CASE("pooled_linear: launches and results on a device", "[pool]") {
  if (!is_available(simt)) return;
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    INFO(name_of(dtype));
    // Sums of 48 float32 products in another order; a rounding of bfloat16 images.
    const double bound = dtype == DType::float32 ? 1e-5 : 1e-2;
    Tensors here = inputs(true, {}), there;
    for (std::size_t i = 0; i < here.size(); ++i) {
      here[i] = here[i].to(i == 0 ? dtype : DType::float32);
      there.push_back(here[i].to(simt));
    }
    const Tensor ct = random_tensor({3, 5}, 4).to(DType::float32);
    const LaunchTrace forward;
    const LinearMap map = linearize_tensors(head, there);
    CHECK(forward.count() == 1);
    const LinearMap expected = linearize_tensors(head, here);
    const LaunchTrace backward;
    const Tensors gradients = map.vjp({{}, ct.to(simt)});
    CHECK(backward.count() == 2);
    const LaunchTrace tangent;
    const Tensors tangents = map.jvp(there);
    CHECK(tangent.count() == 1);
    const Tensors wanted = expected.vjp({{}, ct}), along = expected.jvp(here);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      CHECK(relative_error(gradients[i].to(Device{}), wanted[i]) <= bound);
    }
    for (std::size_t i = 0; i < along.size(); ++i) {
      CHECK(relative_error(map.outputs()[i].to(Device{}), expected.outputs()[i]) <= bound);
      CHECK(relative_error(tangents[i].to(Device{}), along[i]) <= bound);
    }
  }
}

TEST_CASE("pooled_linear: what does not fit is refused with its shapes", "[pool]") {
  const Tensors in = inputs(true, {});
  CHECK(error_of([&] { ops::pooled_linear(in[1], in[1], in[2]); }) ==
        "pooled_linear: x must be [batch, height, width, channels] and not empty, got [5, 8]");
  CHECK(error_of([&] { ops::pooled_linear(in[0], in[1], in[1]); }) ==
        "pooled_linear: bias must be float64 [5] on cpu beside x float64 [3, 2, 3, 8], got float64 "
        "[5, 8] on cpu");
}

TEST_CASE("params: several tensors move in one pass", "[params]") {
  const Params old({{"mean", random_tensor({3}, 1)},
                    {"kept", random_tensor({4}, 2)},
                    {"var", random_tensor({3}, 3)}});
  const Tensor a = random_tensor({3}, 4), b = random_tensor({3}, 5);
  for (const Device device : {Device{}, simt}) {
    if (!is_available(device)) continue;
    const Params from = old.to(device);
    const Tensor to_a = a.to(device), to_b = b.to(device);
    const LaunchTrace trace;
    const Params moved = from.blended(0.9, {{"mean", to_a, 0.1}, {"var", to_b, 0.125}});
    CHECK(trace.count() == (device == simt ? 2 : 0));  // the copy of what is kept is one of them
    CHECK(moved.is_flat());
    CHECK(moved["kept"].to_vector() == old["kept"].to_vector());
    for (const auto& [name, towards, factor] :
         {std::tuple("mean", a, 0.1), std::tuple("var", b, 0.125)}) {
      const Tensor expected = ops::add(ops::affine(old[name], 0.9), ops::affine(towards, factor));
      CHECK(moved[name].to_vector() == expected.to_vector());
    }
  }
  CHECK(error_of([&] {
          old.blended(0.9, {{"mean", random_tensor({4}, 1), 0.1}});
        }) == "params: 'mean' is [3] on cpu, it cannot move towards [4] on cpu");
}
