#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/profile/profiler.h"
#include "engine/tensor/tensor.h"

namespace ek {

// Which inputs a vjp is asked for.
using Needs = std::vector<bool>;

// One recorded application of an op: what its derivatives need, and the two rules.
//
// A plain op writes both rules with the public ops of engine/ops.h. Run under an enclosing tape
// they are recorded there, which gives every higher order. A fused op runs its own kernels in vjp
// and jvp; for orders beyond the first it declares inputs() and compose(), the composition of plain
// ops that it stands for, and the tape differentiates that instead.
class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view name() const = 0;

  // Cotangents of the outputs to cotangents of the inputs. An undefined cotangent is zero, both
  // ways; inputs that `needs` does not ask for may be left undefined. At least one ct is defined.
  virtual Tensors vjp(const Tensors& cotangents, const Needs& needs) const = 0;

  // Tangents of the inputs to tangents of the outputs. Undefined is zero, both ways. At least one
  // tangent is defined.
  virtual Tensors jvp(const Tensors& tangents) const = 0;

  // For ops whose kernel can add on the way: vjp_onto gives the sums of vjp's cotangents and of
  // `partial`, what has arrived at each input so far (undefined is zero). Not recorded; may reuse
  // the memory of a `partial` that is unique().
  virtual bool adds_onto() const { return false; }
  virtual Tensors vjp_onto(const Tensors& cotangents, const Needs& needs, Tensors partial) const;

  virtual bool fused() const { return false; }
  virtual Tensors inputs() const;                        // fused ops only
  virtual Tensors compose(const Tensors& inputs) const;  // fused ops only
};

// The record of one evaluation, in order. Tensors are known by id; a tensor that was computed
// without touching a tracked one is a constant. Tapes nest and belong to one thread.
class Tape {
 public:
  struct Node {
    std::unique_ptr<Op> op;
    std::vector<int> inputs;               // variables; -1 for a constant
    std::vector<int> outputs;              // variables
    std::vector<std::uint64_t> input_ids;  // of all inputs, for the check against silent cuts
    std::vector<Shape> input_shapes;
    LayerId layer = 0;  // under which it was recorded; its rules run under it as well
  };

  int add_variable(const Tensor& tensor);
  int find(std::uint64_t id) const;  // -1 if unknown
  bool tracks(const Tensor& tensor) const { return tensor.defined() && find(tensor.id()) >= 0; }

  std::vector<Node> nodes;
  int variables = 0;

 private:
  std::unordered_map<std::uint64_t, int> by_id_;
};

// True if some active tape of this thread tracks one of the tensors, so that an op on them has to
// be recorded.
bool recording(std::span<const Tensor> inputs);

// Adds the application of an op to each active tape that tracks one of its inputs. `make` builds
// the Op; it is called once per such tape.
template <class Make>
void record(std::span<const Tensor> inputs, std::span<const Tensor> outputs, Make&& make);

// Active tapes, innermost last.
class TapeScope {
 public:
  explicit TapeScope(Tape& tape);
  ~TapeScope();
  TapeScope(const TapeScope&) = delete;
  TapeScope& operator=(const TapeScope&) = delete;
};

// Within it no op is recorded on any tape of this thread.
class NoRecording {
 public:
  NoRecording();
  ~NoRecording();
  NoRecording(const NoRecording&) = delete;
  NoRecording& operator=(const NoRecording&) = delete;

 private:
  std::vector<Tape*> suspended_;
};

std::span<Tape* const> active_tapes();

namespace detail {
void append_node(Tape& tape, std::unique_ptr<Op> op, std::span<const Tensor> inputs,
                 std::span<const Tensor> outputs);
}

template <class Make>
void record(std::span<const Tensor> inputs, std::span<const Tensor> outputs, Make&& make) {
  for (Tape* tape : active_tapes()) {
    for (const Tensor& input : inputs) {
      if (!tape->tracks(input)) continue;
      detail::append_node(*tape, make(), inputs, outputs);
      break;
    }
  }
}

}  // namespace ek
