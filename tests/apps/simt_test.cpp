// The host executor as a device: every entry of ek-op's table against the CPU, and what a tensor on
// another device meets.
#include <cstring>

#include "apps/check/case.h"
#include "apps/op/table.h"
#include "engine/autodiff/functional.h"
#include "engine/autodiff/gradient_check.h"
#include "engine/ops.h"
#include "engine/training/optim.h"
#include "tests/apps/op_files.h"
#include "tests/apps/program_run.h"
#include "tests/simt_device.h"
#include "tests/tensor_numbers.h"

using ek::Device;
using ek::DType;
using ek::NamedTensor;
using ek::Params;
using ek::Tensor;
using ek::Tensors;

namespace {

std::vector<NamedTensor> outputs(const ek::OpEntry& op, const ek::OpExample& example, DType dtype,
                                 Device device, bool derivatives) {
  ek::OpRunOptions options{example.attributes.dump(), dtype, derivatives, derivatives, device};
  return ek::run_op(op, ek::SafetensorsFile{{}, example.tensors}, options, "IN").tensors;
}

void compare_with_cpu(const ek::OpEntry& op, DType dtype, double tolerance) {
  CAPTURE(op.name);
  const bool derivatives = !op.name.starts_with("metagrad:");
  const ek::OpExample example = derivatives ? ek::full_example(op, 3) : op.example(3);
  const auto expected = outputs(op, example, dtype, {}, derivatives);
  const auto got = outputs(op, example, dtype, simt, derivatives);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(expected[i].first);
    CHECK(got[i].first == expected[i].first);
    CHECK(got[i].second.dtype() == expected[i].second.dtype());
    CHECK(got[i].second.device() == Device{});
    CHECK(op_files::error(got[i].second, expected[i].second) <= tolerance);
  }
}

bool is_deep(const ek::OpEntry& op) {
  return op.name.starts_with("model:resnet");
}

}  // namespace

TEST_CASE("ek-op --device simt: every op, loss and meta-gradient as on the cpu", "[op][simt]") {
  if (!has_simt()) return;
  for (const ek::OpEntry& op : ek::op_table()) {
    if (is_deep(op)) continue;
    // Sums of tens of terms in another order, relative to the largest entry: some ulps of float32,
    // which a meta-gradient carries through a virtual step and two derivatives.
    compare_with_cpu(op, DType::float32, op.name.starts_with("metagrad:") ? 2e-4 : 2e-6);
    compare_with_cpu(op, DType::float64, 1e-12);
  }
}

TEST_CASE("ek-op --device simt: bfloat16 images", "[op][simt]") {
  if (!has_simt()) return;
  // Sums in another order may round to the neighbour, 2^-7 of a value; few do.
  for (const char* name : {"conv2d", "batch_norm", "global_avg_pool"}) {
    compare_with_cpu(ek::find_op(name), DType::bfloat16, 0.02);
  }
}

TEST_CASE("ek-op --device simt: a network, with its derivatives", "[op][simt]") {
  if (!has_simt()) return;
  // Eight layers in float64; in float32 a rounding near zero may switch a ReLU of a few hundred.
  compare_with_cpu(ek::find_op("model:resnet8"), DType::float64, 1e-10);
}

TEST_CASE("ek-op --device simt: all networks", "[op][simt][slow]") {
  if (!has_simt()) return;
  for (const ek::OpEntry& op : ek::op_table()) {
    if (is_deep(op)) compare_with_cpu(op, DType::float64, 1e-10);
  }
}

TEST_CASE("ops on simt take views that begin anywhere", "[simt]") {
  if (!has_simt()) return;
  // As parameters in their flat buffer do: kernels that load several elements at once must notice.
  const auto shifted = [](const Tensor& x) {
    Tensor y = Tensor::empty({x.numel() + 1}, x.dtype(), x.device()).slice(1, x.shape());
    std::memcpy(y.output_raw(), x.raw(), x.bytes());
    return y;
  };
  const auto all = [](const Tensors& tensors, auto&& f) {
    Tensors out;
    for (const Tensor& t : tensors) out.push_back(f(t));
    return out;
  };
  for (const ek::CheckCase& one : ek::check_cases()) {
    if (one.stops_gradient) continue;
    CAPTURE(one.op, one.name);
    const auto run = [&](auto&& place) {
      Tensors inputs = all(one.inputs, [&](const Tensor& x) {
        return place((ek::is_floating(x.dtype()) ? x.to(DType::float32) : x).to(simt));
      });
      Tensors x;
      std::vector<std::size_t> places;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!ek::is_floating(inputs[i].dtype())) continue;
        if (!one.differentiable.empty() && !one.differentiable[i]) continue;
        x.push_back(inputs[i]);
        places.push_back(i);
      }
      const ek::LinearMap map = ek::linearize_tensors(
          [&](const Tensors& in) {
            Tensors arguments = inputs;
            for (std::size_t k = 0; k < in.size(); ++k) arguments[places[k]] = in[k];
            return one.run(arguments);
          },
          x);
      Tensors results = map.outputs();
      for (const Tensor& t : map.vjp(all(map.outputs(), place))) results.push_back(t);
      for (const Tensor& t : map.jvp(all(x, place))) results.push_back(t);
      return results;
    };
    const Tensors aligned = run([](const Tensor&x) { return x; }), moved = run(shifted);
    REQUIRE(aligned.size() == moved.size());
    for (std::size_t i = 0; i < aligned.size(); ++i) {
      CHECK(ek::relative_error(moved[i], aligned[i], 1e-3) <= 1e-4);
    }
  }
}

TEST_CASE("a tensor moves between devices by copy", "[simt]") {
  if (!has_simt()) return;
  const Tensor x = Tensor::from(std::vector<float>{1, -2, 3}, {3});
  const Tensor there = x.to(simt), back = there.to(Device{});
  CHECK(there.device() == simt);
  CHECK(there.raw() != x.raw());
  CHECK(back.to_vector() == x.to_vector());
  CHECK(there.to_vector() == x.to_vector());
  CHECK(there.to(simt).raw() == there.raw());
  CHECK(there.to(DType::float64).device() == simt);
  CHECK(there.slice(1, {1}).item() == -2);
  CHECK(Tensor::full({2}, 7, DType::bfloat16, simt).to_vector() == std::vector<double>{7, 7});
  CHECK(contains(error_of([&] { there.span<float>(); }), "it is on simt"));
  CHECK(contains(error_of([&] { x.to({Device::Kind::cuda, 1}); }), "device cuda:1 is not here: "));

  // Recorded: cotangents are copied back.
  const ek::LinearMap map = ek::linearize_tensors(
      [](const Tensors& in) { return Tensors{ek::ops::square(ek::ops::to_device(in[0], simt))}; },
      {x});
  CHECK(map.outputs()[0].device() == simt);
  const Tensors gradient = map.vjp({Tensor::full({3}, 1, DType::float32, simt)});
  CHECK(gradient[0].device() == Device{});
  CHECK(gradient[0].to_vector() == std::vector<double>{2, -4, 6});
  CHECK(map.jvp({x})[0].to_vector() == std::vector<double>{2, 8, 18});
}

TEST_CASE("tensors on two devices are refused with both names", "[simt]") {
  if (!has_simt()) return;
  namespace ops = ek::ops;
  const auto refused = [](auto&& f) {
    const std::string error = error_of(f);
    CAPTURE(error);
    CHECK(contains(error, "on cpu"));
    CHECK(contains(error, "on simt"));
  };
  const auto on = [](const ek::Shape& shape, Device device) {
    return Tensor::zeros(shape, DType::float32, device);
  };
  const Tensor x = on({2, 3}, {}), y = on({2, 3}, simt), image = on({1, 4, 4, 2}, {});
  const Tensor index = Tensor::from(std::vector<std::int64_t>{0, 1}, {2}).to(simt);
  refused([&] { ops::add(x, y); });
  refused([&] { ops::matmul(x, y, false, true); });
  refused([&] { ops::linear(x, y, {}); });
  refused([&] { ops::linear(x, x, on({2}, simt)); });
  refused([&] { ops::cosine_linear(x, x, on({1}, simt)); });
  refused([&] { ops::take(x, index); });
  refused([&] { ops::pick(x, index); });
  refused([&] { ops::softmax_cross_entropy(x, index); });
  refused([&] { ops::softmax_cross_entropy(y, index, {.offset = on({3}, {})}); });
  refused([&] { ops::conv2d(image, on({1, 3, 3, 2}, simt)); });
  refused([&] { ops::conv2d_backward_weights(image, on({1, 2, 2, 1}, simt), {1, 3, 3, 2}, {}); });
  const ops::ChannelStats stats{on({2}, {}), on({2}, simt)};
  refused([&] { ops::norm_act(image, stats, on({2}, {}), on({2}, {}), {}, {}); });
  const ek::LinearMap map =
      ek::linearize_tensors([](const Tensors& in) { return Tensors{ops::square(in[0])}; }, {x});
  refused([&] { map.vjp({y}); });
  refused([&] { map.jvp({y}); });
  refused([&] { Params({{"a", x}, {"b", y}}); });
}

TEST_CASE("optimisers and parameters on simt do as on the cpu", "[simt]") {
  if (!has_simt()) return;
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4, 5}, {5});
  const Tensor b = Tensor::from(std::vector<float>{-1, 0.5, 2}, {3});
  const Params start({{"a", a}, {"b", b}}), gradient({{"a", a}, {"b", b}});
  const auto segments = ek::optimizer_segments(start, 1e-3, {});
  for (const bool adam : {false, true}) {
    const auto stepped = [&](Device device) {
      Params params = start.to(device), g = gradient.to(device);
      std::unique_ptr<ek::Optimizer> optimizer;
      if (adam) {
        optimizer = std::make_unique<ek::Adam>(ek::Adam::Settings{});
      } else {
        optimizer = std::make_unique<ek::Sgd>(ek::Sgd::Settings{.momentum = 0.9});
      }
      for (int i = 0; i < 3; ++i) optimizer->step(params, g, 0.1, segments);
      CHECK(params.flat().device() == device);
      return params.flat().to(Device{});
    };
    CHECK(op_files::error(stepped(simt), stepped({})) <= 1e-6);
  }
  const Params there = start.to(simt);
  CHECK(ek::dot(there, there) == ek::dot(start, start));
  CHECK(ek::add_scaled(there, 0.5, there).flat().device() == simt);
  CHECK(contains(error_of([&] { ek::add_scaled(there, 0.5, start); }), "a direction on cpu"));

  // A file holds what a tensor holds, wherever it is.
  const TempDir dir;
  ek::write_safetensors(dir / "there.st", {{"a", there["a"]}});
  CHECK(ek::read_safetensors(dir / "there.st").find("a")->to_vector() == a.to_vector());
}

TEST_CASE("programs that run on the cpu alone refuse simt by name", "[simt]") {
  const TempDir dir;
  check_refused(run_program(dir, "ek-data", "--device simt"), "--device simt");
}
