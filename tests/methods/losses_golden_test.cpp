// Losses against the golden files: each case names its inputs, its parameters and what is expected.
#include "engine/autodiff/functional.h"
#include "engine/autodiff/gradient_check.h"
#include "methods/losses/loss.h"
#include "tests/catch.h"
#include "tests/methods/golden.h"

using namespace ek;
using nlohmann::json;

namespace {

// The golden numbers have 12 digits; in float32 sums of a few dozen terms.
struct Tolerance {
  DType dtype;
  double relative;
};
constexpr Tolerance tolerances[] = {{DType::float64, 1e-9}, {DType::float32, 2e-5}};

// Which cases of a file belong to which loss, and what its options are called there.
struct GoldenLoss {
  std::string file, loss;
  std::vector<std::string> options;
};
const std::vector<GoldenLoss> golden_losses{
    {"experts_dive.json", "dive", {"tau", "power", "alpha"}}};

bool belongs(const json& entry, const LossEntry& loss, const GoldenLoss& golden) {
  const json inputs = entry.value("inputs", json::object());
  for (const LossArgument& argument : loss.arguments) {
    if (!inputs.contains(argument.name)) return false;
  }
  for (const std::string& option : golden.options) {
    if (!entry.value("params", json::object()).contains(option)) return false;
  }
  return entry.contains("expected") && entry["expected"].contains("loss");
}

Tensor tensor_of(const json& value, const LossArgument& argument, DType dtype) {
  const auto rows = std::int64_t(value.size());
  if (argument.kind == LossArgument::Kind::labels) {
    return Tensor::from(value.get<std::vector<std::int64_t>>(), {rows});
  }
  return Tensor::from(numbers(value), {rows, std::int64_t(value[0].size())}).to(dtype);
}

}  // namespace

TEST_CASE("losses have their golden values and gradients", "[losses][golden]") {
  for (const GoldenLoss& wanted : golden_losses) {
    const LossEntry& entry = find_loss(wanted.loss);
    int checked = 0;
    const json file = golden(wanted.file);
    for (const json& example : file["cases"]) {
      if (!belongs(example, entry, wanted)) continue;
      ++checked;
      const json &in = example["inputs"], &expected = example["expected"];
      std::vector<std::int64_t> counts;
      for (const double count : numbers(in["class_counts"])) counts.push_back(std::int64_t(count));
      json options = json::object();
      for (const std::string& option : wanted.options) options[option] = example["params"][option];
      for (const auto& [dtype, relative] : tolerances) {
        CAPTURE(wanted.file, example["name"], name_of(dtype));
        const Loss loss = Loss::make(wanted.loss, options, counts, dtype);
        std::vector<Params::Entry> tracked;
        std::vector<LossInputs::Entry> constant;
        for (const LossArgument& argument : entry.arguments) {
          const Tensor tensor = tensor_of(in[argument.name], argument, dtype);
          if (argument.kind == LossArgument::Kind::differentiable) {
            tracked.push_back({argument.name, tensor});
          } else {
            constant.emplace_back(argument.name, tensor);
          }
        }
        const Params x(tracked);
        const auto f = [&](const Params& p) {
          std::vector<LossInputs::Entry> all = constant;
          for (const auto& [name, tensor] : p) all.emplace_back(name, tensor);
          return loss.scalar(LossInputs(all));
        };
        if (dtype == DType::float64) {
          const auto of_tensors = [&](const Tensors& in) { return Tensors{f(x.with(in))}; };
          CHECK(gradient_errors(wanted.loss.c_str(), of_tensors, x.tensors()).empty());
        }
        const auto [value, gradient] = value_and_grad(f, x);
        CHECK(worst_error({value.item()}, numbers(expected["loss"]), 1e-3) <= relative);
        for (const auto& [name, tensor] : gradient) {
          if (!expected.contains("grad_" + name)) continue;
          CHECK(worst_error(tensor.to_vector(), numbers(expected["grad_" + name]),
                            dtype == DType::float64 ? 1e-3 : 0.1) <= relative);
        }
      }
    }
    CAPTURE(wanted.file, wanted.loss);
    CHECK(checked > 0);
  }
}
