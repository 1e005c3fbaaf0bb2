#include <algorithm>
#include <array>
#include <utility>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"
#include "engine/training/weight_packs.h"
#include "kernels/elementwise.h"

namespace ek {
namespace {

// Applies one node's rule. Under Differentiable::yes the rule runs with recording on; a fused op
// whose operands are tracked by an enclosing tape is replaced by its composition there. Under
// Differentiable::no nothing is recorded, and a path that an enclosing tape tracks is an Error.
class NodeRunner {
 public:
  explicit NodeRunner(Differentiable differentiable) : differentiable_(differentiable) {}

  Tensors vjp(const Tape::Node& node, const Tensors& cotangents, const Needs& needs) const {
    if (!tracked(node, cotangents)) {
      NoRecording off;
      return node.op->vjp(cotangents, needs);
    }
    refuse_cut(node);
    if (!node.op->fused()) return node.op->vjp(cotangents, needs);
    return linearize_composition(node).vjp(cotangents, Differentiable::yes);
  }

  // Whether the op may add its cotangents onto what has arrived at its inputs (Op::vjp_onto): not
  // where sums have to be recorded.
  static bool adds_onto(const Tape::Node& node) {
    return node.op->adds_onto() && active_tapes().empty();
  }
  Tensors jvp(const Tape::Node& node, const Tensors& tangents) const {
    if (!tracked(node, tangents)) {
      NoRecording off;
      return node.op->jvp(tangents);
    }
    refuse_cut(node);
    if (!node.op->fused()) return node.op->jvp(tangents);
    return linearize_composition(node).jvp(tangents, Differentiable::yes);
  }

 private:
  static bool tracked(const Tape::Node& node, const Tensors& directions) {
    for (const Tape* tape : active_tapes()) {
      for (std::uint64_t id : node.input_ids) {
        if (tape->find(id) >= 0) return true;
      }
      for (const Tensor& direction : directions) {
        if (tape->tracks(direction)) return true;
      }
    }
    return false;
  }

  void refuse_cut(const Tape::Node& node) const {
    require(differentiable_ == Differentiable::yes,
            "{}: an enclosing tape differentiates through this derivative, and Differentiable::no "
            "would cut its path; pass Differentiable::yes",
            node.op->name());
  }

  static LinearMap linearize_composition(const Tape::Node& node) {
    const Op& op = *node.op;
    return linearize_tensors([&op](const Tensors& in) { return op.compose(in); }, op.inputs());
  }

  Differentiable differentiable_;
};

// a + b, in the memory of a where nobody else sees it.
Tensor sum_into(Tensor a, const Tensor& b) {
  if (!a.unique() || recording(std::array{a, b})) return ops::add(a, b);
  ProfileScope scope(
      "add", [&] { return a.shape().str(); }, double(a.numel()), 3 * double(a.bytes()));
  dispatch_activation("add", a, [&]<class B, class T>() {
    kernels::binary<B, T>(current_stream(), kernels::Binary::add, a.numel(), a.data<T>(),
                          b.data<T>(), a.output<T>());
  });
  return a;
}

bool any_defined(const Tensors& tensors) {
  return std::ranges::any_of(tensors, [](const Tensor& t) { return t.defined(); });
}

void check_direction(std::string_view who, const Tensor& direction, const Shape& shape, DType dtype,
                     Device device) {
  if (!direction) return;
  require(direction.device() == device, "{}: a direction on {} was expected, one on {} came", who,
          device.str(), direction.device().str());
  require(direction.shape() == shape && direction.dtype() == dtype,
          "{}: a {} of shape {} was expected, {} of shape {} came", who, name_of(dtype),
          shape.str(), name_of(direction.dtype()), direction.shape().str());
}

}  // namespace

LinearMap linearize_tensors(const TensorFunction& f, const Tensors& inputs) {
  LinearMap map;
  map.tape_ = std::make_shared<Tape>();
  Tensors arguments;
  for (const Tensor& input : inputs) {
    // A fresh identity: the same tensor closed over by f is a constant of this tape. The alias is
    // recorded on enclosing tapes, so their paths go through it.
    arguments.push_back(input.defined() ? ops::alias(input) : Tensor());
    map.input_variables_.push_back(input.defined() ? map.tape_->add_variable(arguments.back())
                                                   : -1);
    map.input_shapes_.push_back(input.defined() ? input.shape() : Shape{});
    map.input_dtypes_.push_back(input.defined() ? input.dtype() : DType::float32);
    map.input_devices_.push_back(input.defined() ? input.device() : Device{});
  }
  {
    // A derivative that records its own composition stays what it is.
    const PhaseScope phase(current_phase() == Phase::other ? Phase::forward : current_phase());
    TapeScope scope(*map.tape_);
    map.outputs_ = f(arguments);
  }
  for (const Tensor& output : map.outputs_) {
    require(output.defined(), "linearize: the function returned an undefined tensor");
    map.output_variables_.push_back(map.tape_->find(output.id()));
  }
  return map;
}

void LinearMap::check_usable(std::string_view who) const {
  require(tape_ != nullptr, "{}: this linearisation was consumed by an earlier call", who);
}

Tensors LinearMap::run_vjp(const Tensors& cotangents, Differentiable differentiable,
                           bool consume) const {
  check_usable("vjp");
  require(cotangents.size() == outputs_.size(), "vjp: {} cotangents for {} outputs",
          cotangents.size(), outputs_.size());
  MemoryScope memory(MemoryUse::gradients);
  const PhaseScope phase(Phase::backward);
  const NodeRunner runner(differentiable);
  std::vector<Tensor> at(std::size_t(tape_->variables));
  auto accumulate = [&](int variable, const Tensor& value) {
    if (variable < 0 || !value) return;
    Tensor& slot = at[std::size_t(variable)];
    slot = slot ? sum_into(std::exchange(slot, Tensor()), value) : value;
  };
  for (std::size_t i = 0; i < cotangents.size(); ++i) {
    check_direction("vjp", cotangents[i], outputs_[i].shape(), outputs_[i].dtype(),
                    outputs_[i].device());
    accumulate(output_variables_[i], cotangents[i]);
  }

  // Ops that add on the way are handed what has arrived at their inputs.
  auto node_vjp = [&](const Tape::Node& node, const Tensors& node_cotangents, const Needs& needs) {
    if (!runner.adds_onto(node)) return runner.vjp(node, node_cotangents, needs);
    Tensors partial;
    for (int input : node.inputs) {
      partial.push_back(input < 0 ? Tensor() : std::exchange(at[std::size_t(input)], Tensor()));
    }
    return node.op->vjp_onto(node_cotangents, needs, std::move(partial));
  };

  for (std::size_t n = tape_->nodes.size(); n-- > 0;) {
    Tape::Node& node = tape_->nodes[n];
    const LayerScope layer(node.layer);
    Tensors node_cotangents;
    for (int output : node.outputs) {
      node_cotangents.push_back(std::exchange(at[std::size_t(output)], Tensor()));
    }
    if (any_defined(node_cotangents)) {
      Needs needs;
      for (int input : node.inputs) needs.push_back(input >= 0);
      const Tensors results = node_vjp(node, node_cotangents, needs);
      require(results.size() == node.inputs.size(),
              "{}: its vjp returned {} cotangents for {} inputs", node.op->name(), results.size(),
              node.inputs.size());
      for (std::size_t i = 0; i < results.size(); ++i) accumulate(node.inputs[i], results[i]);
    }
    if (consume) node.op.reset();
  }

  Tensors gradients;
  for (std::size_t i = 0; i < input_variables_.size(); ++i) {
    Tensor gradient = input_variables_[i] < 0 ? Tensor() : at[std::size_t(input_variables_[i])];
    gradients.push_back(
        gradient ? gradient : Tensor::zeros(input_shapes_[i], input_dtypes_[i], input_devices_[i]));
  }
  return gradients;
}

Tensors LinearMap::vjp(const Tensors& cotangents, Differentiable differentiable) const& {
  return run_vjp(cotangents, differentiable, false);
}

Tensors LinearMap::vjp(const Tensors& cotangents, Differentiable differentiable) && {
  check_usable("vjp");
  require(tape_.use_count() == 1, "vjp: a consuming call on a linearisation that was copied");
  Tensors gradients = run_vjp(cotangents, differentiable, true);
  tape_.reset();
  return gradients;
}

Tensors LinearMap::jvp(const Tensors& tangents, Differentiable differentiable) const {
  check_usable("jvp");
  require(tangents.size() == input_variables_.size(), "jvp: {} tangents for {} inputs",
          tangents.size(), input_variables_.size());
  MemoryScope memory(MemoryUse::gradients);
  const PhaseScope phase(Phase::tangent);
  const NodeRunner runner(differentiable);
  // A tangent is dropped after the last node that reads it, so one layer's worth is alive.
  std::vector<std::size_t> last_use(std::size_t(tape_->variables), 0);
  for (std::size_t n = 0; n < tape_->nodes.size(); ++n) {
    for (int input : tape_->nodes[n].inputs) {
      if (input >= 0) last_use[std::size_t(input)] = n;
    }
  }
  for (int output : output_variables_) {
    if (output >= 0) last_use[std::size_t(output)] = tape_->nodes.size();
  }

  std::vector<Tensor> at(std::size_t(tape_->variables));
  for (std::size_t i = 0; i < tangents.size(); ++i) {
    check_direction("jvp", tangents[i], input_shapes_[i], input_dtypes_[i], input_devices_[i]);
    if (input_variables_[i] >= 0) at[std::size_t(input_variables_[i])] = tangents[i];
  }
  for (std::size_t n = 0; n < tape_->nodes.size(); ++n) {
    const Tape::Node& node = tape_->nodes[n];
    const LayerScope layer(node.layer);
    Tensors in;
    for (int input : node.inputs) in.push_back(input < 0 ? Tensor() : at[std::size_t(input)]);
    if (any_defined(in)) {
      const Tensors results = runner.jvp(node, in);
      require(results.size() == node.outputs.size(),
              "{}: its jvp returned {} tangents for {} outputs", node.op->name(), results.size(),
              node.outputs.size());
      for (std::size_t o = 0; o < results.size(); ++o)
        at[std::size_t(node.outputs[o])] = results[o];
    }
    for (int input : node.inputs) {
      if (input >= 0 && last_use[std::size_t(input)] == n) at[std::size_t(input)] = Tensor();
    }
  }

  Tensors results;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const int variable = output_variables_[i];
    Tensor tangent = variable < 0 ? Tensor() : at[std::size_t(variable)];
    results.push_back(
        tangent ? tangent
                : Tensor::zeros(outputs_[i].shape(), outputs_[i].dtype(), outputs_[i].device()));
  }
  return results;
}

Params detail::gathered(const Params& gradient) {
  if (gradient.empty() || !fuses_launches_on(gradient.entries()[0].tensor.device())) {
    return gradient;
  }
  return active_tapes().empty() ? gradient.flattened(MemoryUse::gradients) : gradient;
}

void detail::pack_direction(const Params& params, const Params& direction) {
  if (!params.is_flat() || !direction.is_flat()) return;
  const Tensor& flat = direction.flat();
  if (flat.device() != params.flat().device() || flat.dtype() != params.dtype()) return;
  Storage& storage = *flat.storage();
  if (!storage.companions.keys(storage.version).empty()) return;  // an earlier sweep did it
  PackSet packs = PackSet::for_direction(params.flat(), flat);
  packs.write(flat);
  std::move(packs).attach_to(flat);
}

Differentiable detail::nested() {
  return active_tapes().empty() ? Differentiable::no : Differentiable::yes;
}

Tensor detail::ones_like_scalar(const Tensor& value, std::string_view who) {
  require(value.numel() == 1, "{}: the function must return one element, shape {} came", who,
          value.shape().str());
  return Tensor::full(value.shape(), 1, value.dtype(), value.device());
}

}  // namespace ek
