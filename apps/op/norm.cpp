// batch_norm with its running statistics, in PyTorch's terms.
#include "apps/op/families.h"
#include "engine/autodiff/tape.h"
#include "engine/ops.h"

namespace ek {
namespace {

// (1 - momentum) old + momentum * factor * batch
Tensor moved(const Tensor& old, const Tensor& batch, double momentum, double factor) {
  return ops::add(ops::affine(old, 1 - momentum), ops::affine(batch, momentum * factor));
}

std::vector<NamedTensor> run_batch_norm(const OpCall& call) {
  const Tensor &x = call.at("x"), &mean = call.at("running_mean"), &var = call.at("running_var");
  const Tensor &weight = call.at("weight"), &bias = call.at("bias"),
               residual = call.find("residual");
  require((x.rank() == 4 || x.rank() == 2) && x.numel() > 0,
          "batch_norm: x expected [N, C] or [N, C, H, W], not empty, came {}", file_shape(x));
  const std::int64_t channels = x.shape().back(), rows = x.numel() / channels;
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) {
    require(call.at(name).shape() == Shape{channels},
            "batch_norm: {} expected [{}] for the {} channels of x, came {}", name, channels,
            channels, call.at(name).shape().str());
  }
  require(!residual || residual.shape() == x.shape(),
          "batch_norm: residual expected the shape of x {}, came {}", file_shape(x),
          residual ? file_shape(residual) : "");
  const ops::NormActOptions options{call.number("eps"), call.flag("relu")};

  if (!call.flag("training")) {
    return {{"y", ops::norm_act(x, {mean, var}, weight, bias, residual, options)},
            {"new_running_mean", mean},
            {"new_running_var", var}};
  }
  require(rows > 1, "batch_norm: training expected more than 1 value per channel, came {}", rows);
  const Tensor y = ops::batch_norm(x, weight, bias, residual, options);
  const NoRecording plain_arithmetic;
  const ops::ChannelStats batch = ops::channel_stats(x);
  const double momentum = call.number("momentum");
  return {{"y", y},
          {"new_running_mean", moved(mean, batch.mean, momentum, 1)},
          {"new_running_var", moved(var, batch.var, momentum, double(rows) / double(rows - 1))}};
}

OpExample example(std::uint64_t seed) {
  return {{{"x", random_normal({3, 4, 3, 2}, seed, 0)},
           {"weight", random_uniform({4}, seed, 1, 0.5, 1.5)},
           {"bias", random_normal({4}, seed, 2, 0.5)},
           {"running_mean", random_normal({4}, seed, 3, 0.5)},
           {"running_var", random_uniform({4}, seed, 4, 0.5, 1.5)},
           {"residual", random_normal({3, 4, 3, 2}, seed, 5)}},
          {{"training", true}, {"relu", true}}};
}

}  // namespace

std::vector<OpEntry> norm_ops() {
  const std::string rows = "[N, C] or [N, C, H, W]";
  return {{.name = "batch_norm",
           .doc = "batch norm [+ residual] [+ ReLU], by the batch's statistics or the running ones",
           .signature =
               {{{.name = "x", .shape = rows, .activation = true},
                 {"weight", OpKind::differentiable, "[C]"},
                 {"bias", OpKind::differentiable, "[C]"},
                 {"running_mean", OpKind::constant, "[C]"},
                 {"running_var", OpKind::constant, "[C]"},
                 {.name = "residual", .shape = "that of x", .optional = true, .activation = true}},
                {{"y", "that of x"},
                 {"new_running_mean", "[C]", false},
                 {"new_running_var", "[C], from the unbiased variance", false}}},
           .attributes = {{.key = {"training", false, "use the statistics of the batch"}},
                          {.key = {"momentum", 0.1, "of the running statistics"}},
                          {.key = {"eps", 1e-5, "added to the variance", {}, 0}},
                          {.key = {"relu", false, "a ReLU at the end, fused"}}},
           .run = run_batch_norm,
           .example = example}};
}

}  // namespace ek
