#include "engine/autodiff/tape.h"

#include <algorithm>

namespace ek {
namespace {

thread_local std::vector<Tape*> tapes;

}  // namespace

Tensors Op::vjp_onto(const Tensors&, const Needs&, Tensors) const {
  fail("{}: its vjp does not add onto what has arrived", name());
}
Tensors Op::inputs() const {
  fail("{}: not a fused op, it has no composition", name());
}
Tensors Op::compose(const Tensors&) const {
  fail("{}: not a fused op, it has no composition", name());
}

int Tape::add_variable(const Tensor& tensor) {
  by_id_[tensor.id()] = variables;
  return variables++;
}

int Tape::find(std::uint64_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? -1 : it->second;
}

bool recording(std::span<const Tensor> inputs) {
  return std::ranges::any_of(tapes, [&](const Tape* tape) {
    return std::ranges::any_of(inputs, [&](const Tensor& x) { return tape->tracks(x); });
  });
}

std::span<Tape* const> active_tapes() {
  return tapes;
}

TapeScope::TapeScope(Tape& tape) {
  tapes.push_back(&tape);
}
TapeScope::~TapeScope() {
  tapes.pop_back();
}

NoRecording::NoRecording() : suspended_(std::exchange(tapes, {})) {}
NoRecording::~NoRecording() {
  tapes = std::move(suspended_);
}

void detail::append_node(Tape& tape, std::unique_ptr<Op> op, std::span<const Tensor> inputs,
                         std::span<const Tensor> outputs) {
  Tape::Node node;
  for (const Tensor& input : inputs) {
    node.inputs.push_back(input.defined() ? tape.find(input.id()) : -1);
    node.input_ids.push_back(input.defined() ? input.id() : 0);
    node.input_shapes.push_back(input.defined() ? input.shape() : Shape{});
  }
  for (const Tensor& output : outputs) node.outputs.push_back(tape.add_variable(output));
  node.op = std::move(op);
  node.layer = current_layer();
  tape.nodes.push_back(std::move(node));
}

}  // namespace ek
