#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "engine/tensor/number.h"

namespace ek {

// Where a run stands before a step.
struct StepStart {
  std::int64_t step = 0, epoch = 0;
  bool first_of_epoch = false;
};

// What a step is made of, beside the state. On a device the step may be captured in a graph and run
// again as a later one (docs/graphs.md): all that differs from step to step is read from the
// device's memory then, and the host knows none of it.
class Step {
 public:
  struct NamedBatch {
    std::string stream;
    Batch batch;
  };
  struct NamedNumber {
    std::string name;
    Number value;
  };
  struct NamedIndices {
    std::string name;
    Tensor indices;
  };

  Number learning_rate = 0;
  // int64 [], steps of the run before this one, in the device's memory; undefined on the cpu and
  // where steps are tried rather than run, where optimisers count for themselves.
  Tensor count = {};
  std::vector<NamedBatch> batches = {};
  std::vector<NamedNumber> numbers = {};
  std::vector<NamedIndices> index_lists = {};

  // The batch of a stream that the method declared; Error naming those that there are.
  const Batch& operator[](std::string_view stream) const;
  // A number or a list of indices that the method declared.
  const Number& number(std::string_view name) const;
  const Tensor& indices(std::string_view name) const;
};

// What a step tells: its training loss, and more numbers by name for metrics.jsonl. They are read
// when asked for, so that a step that nobody asks about does not wait for its device.
struct Report {
  using Value = std::function<double()>;
  Tensor loss;  // []
  std::vector<std::pair<std::string, Value>> numbers = {};

  void add(std::string name, Tensor scalar) {
    numbers.emplace_back(std::move(name), [scalar = std::move(scalar)] { return scalar.item(); });
  }
};

}  // namespace ek
