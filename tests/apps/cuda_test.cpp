// The device cuda: what a build or a machine without it says, and, where there is a GPU, that ops
// and copies do there as on the CPU. (ek-check test --device cuda is the whole check.)
#include "apps/op/table.h"
#include "engine/memory/cuda_runtime.h"
#include "tests/apps/op_files.h"
#include "tests/apps/program_run.h"

using ek::Device;
using ek::DType;
using ek::Tensor;

namespace {

constexpr Device gpu{Device::Kind::cuda};

bool has_gpu() {
  return ek::is_available(gpu);
}

}  // namespace

TEST_CASE("cuda: without a GPU every program says why in one line", "[cuda]") {
  if (has_gpu()) return;
  const std::string why = ek::cuda::gpus().why_none;
  CHECK(!why.empty());
  CHECK(why.find('\n') == std::string::npos);
  CHECK(error_of([] { ek::parse_device("cuda"); }) == "--device cuda: " + why);
  CHECK(error_of([] { ek::parse_device("cuda:1"); }) == "--device cuda:1: " + why);
  CHECK(contains(error_of([] { Tensor::zeros({2}, DType::float32, gpu); }),
                 "device cuda:0 is not here: " + why));
  CHECK(contains(error_of([] { ek::memory_stats(gpu); }), why));
  CHECK(ek::devices().front() == Device{});
  for (const Device device : ek::devices()) CHECK(device.in_host_memory());

  const TempDir dir;
  ek::write_safetensors(dir / "in.st", {{"x", op_files::real({1, -2}, {2})}});
  const auto refused = [&](const char* program, const std::string& arguments) {
    check_refused(run_program(dir, program, arguments + " --device cuda"), "--device cuda: " + why);
  };
  refused("ek-op", "relu --in in.st --out out.st");
  CHECK(!std::filesystem::exists(dir / "out.st"));
  refused("ek-check", "test");
  refused("ek-check", "perf");
  refused("ek-train", "--recipe synthetic/ce --out run");
  CHECK(!std::filesystem::exists(dir / "run"));
  refused("ek-eval", "run");
  refused("ek-bench-step", "");
}

TEST_CASE("cuda: devices that are none are refused by name", "[cuda]") {
  for (const char* text : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999"}) {
    CHECK(contains(error_of([&] { ek::parse_device(text); }), "expected cuda:N with N from 0"));
  }
  for (const char* text : {"", "gpu", "CUDA", "cpu:0"}) {
    CHECK(contains(error_of([&] { ek::parse_device(text); }), "expected cpu, simt, cuda"));
  }
  CHECK(ek::parse_device("cpu") == Device{});
  if (!has_gpu()) return;
  CHECK(contains(error_of([] { ek::parse_device("cuda:999"); }), "numbered from 0"));
  const TempDir dir;
  check_refused(run_program(dir, "ek-data", "--device cuda"), "works on the cpu alone");
}

TEST_CASE("cuda: a tensor moves there and back, and ops do as on the cpu", "[cuda]") {
  if (!has_gpu()) return;
  const Tensor x = Tensor::from(std::vector<float>{1, -2, 3}, {3});
  const Tensor there = x.to(gpu);
  CHECK(there.device() == gpu);
  CHECK(there.to_vector() == x.to_vector());
  CHECK(there.clone().slice(1, {1}).item() == -2);
  CHECK(there.to(DType::float64).to_vector() == x.to_vector());
  CHECK(Tensor::zeros({2}, DType::int64, gpu).to_vector() == std::vector<double>{0, 0});
  CHECK(Tensor::full({2}, 7, DType::int64, gpu).to_vector() == std::vector<double>{7, 7});
  CHECK(Tensor::full({2}, 7, DType::bfloat16, gpu).to_vector() == std::vector<double>{7, 7});
  CHECK(contains(error_of([&] { there.span<float>(); }), "it is on cuda:0"));
  CHECK(ek::memory_stats(gpu).live_total_bytes > 0);

  for (const ek::OpEntry& op : ek::op_table()) {
    CAPTURE(op.name);
    const bool derivatives = !op.name.starts_with("metagrad:");
    const ek::OpExample example = derivatives ? ek::full_example(op, 3) : op.example(3);
    const auto run = [&](Device device) {
      return ek::run_op(
                 op, {{}, example.tensors},
                 {example.attributes.dump(), DType::float64, derivatives, derivatives, device},
                 "IN")
          .tensors;
    };
    const auto expected = run({}), got = run(gpu);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(expected[i].first);
      CHECK(got[i].second.device() == Device{});
      CHECK(op_files::error(got[i].second, expected[i].second) <= 1e-10);
    }
  }
}
