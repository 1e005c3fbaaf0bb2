#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor/number.h"
#include "engine/training/params.h"
#include "kernels/optim.h"

namespace ek {

// Parameters with settings of their own. A pattern matches a name that equals it or that continues
// it after a dot ("linear" matches "linear.weight", not "linear2.weight"); '*' stands for any
// characters, dots too ("*.bias", "layer*.bn1").
struct GroupSpec {
  std::vector<std::string> names;
  double lr_factor = 1;
  std::optional<double> weight_decay;  // the optimiser's where it is not given
  bool frozen = false;
};

bool matches_group_pattern(std::string_view pattern, std::string_view name);

// The groups as runs of the flat buffer of `params`, in order, covering all of it; neighbours of
// equal settings are joined. A parameter belongs to the first group that matches it, and to the
// plain settings (factor 1, `weight_decay`) where none does. Error for a pattern that matches no
// parameter, so that a misspelt name is never ignored.
std::vector<kernels::OptimSegment> optimizer_segments(const Params& params, double weight_decay,
                                                      const std::vector<GroupSpec>& groups);

// A gradient as Optimizer::step takes it: itself where it is flat, else gathered into one buffer.
Params flat_gradient(const Params& gradient);

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// Updates flat parameters in place by their gradient: float32 or float64 (docs/protocol.md).
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::string_view name() const = 0;

  // One step. `params` and `gradient` have the same structure and are flat. Error while a tape
  // holds the parameters; on any Error nothing has changed.
  //
  // During a capture (engine/graph/graph.h) the host's count stands still: it goes on with each
  // replay. What depends on it (Adam) then needs `steps_before`, int64 of one element beside the
  // parameters, which holds the number of steps done before this one whenever the step runs. The
  // first step of all makes the state and cannot be captured.
  void step(Params& params, const Params& gradient, const Number& lr,
            std::span<const kernels::OptimSegment> segments, const Tensor& steps_before = {});

  // The number of steps done.
  std::int64_t steps() const { return *steps_; }

  // What a checkpoint keeps: "step" (int64 [1]) and, from the first step on, buffers of shape
  // [numel] in the order of the flat parameters. The tensors are views, which a later step changes:
  // clone what has to stay.
  NamedTensors state() const;
  // Copies a state() of the same kind of optimiser over parameters like `params`; the steps after
  // it are bit for bit those that would have followed. Error, and no change, if names, shapes or
  // types differ.
  void load_state(const NamedTensors& state, const Params& params);

 protected:
  explicit Optimizer(std::vector<std::string> buffer_names)
      : buffer_names_(std::move(buffer_names)) {}
  // Runs the kernel; step `number` counts from 1, and is the `first` where there is no state yet.
  struct Now {
    kernels::Scalar lr;
    kernels::Count number;
    bool first;
  };
  virtual void apply(Tensor& parameters, const Tensor& gradient, std::span<Tensor> buffers,
                     const Now& now, std::span<const kernels::OptimSegment> segments) = 0;
  // Whether apply() looks at the number of the step beyond the first.
  virtual bool counts_steps() const { return false; }

 private:
  std::vector<std::string> buffer_names_;
  std::vector<Tensor> buffers_;  // empty before the first step
  // Shared with the graphs that have captured steps.
  std::shared_ptr<std::int64_t> steps_ = std::make_shared<std::int64_t>(0);
};

// Stochastic gradient descent. State: "momentum_buffer" where momentum is not 0.
class Sgd final : public Optimizer {
 public:
  struct Settings {
    double momentum = 0;
    bool nesterov = false;
  };
  explicit Sgd(const Settings& settings);
  std::string_view name() const override { return "sgd"; }

 private:
  void apply(Tensor& parameters, const Tensor& gradient, std::span<Tensor> buffers, const Now& now,
             std::span<const kernels::OptimSegment> segments) override;
  Settings settings_;
};

// Adam with coupled weight decay. State: "exp_avg" and "exp_avg_sq".
class Adam final : public Optimizer {
 public:
  struct Settings {
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  };
  explicit Adam(const Settings& settings);
  std::string_view name() const override { return "adam"; }

 private:
  void apply(Tensor& parameters, const Tensor& gradient, std::span<Tensor> buffers, const Now& now,
             std::span<const kernels::OptimSegment> segments) override;
  bool counts_steps() const override { return true; }
  Settings settings_;
};

}  // namespace ek
