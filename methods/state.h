#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "methods/parts.h"
#include "methods/step.h"

namespace ek {

class Inputs;  // methods/inputs.h

// A part with its numbers. Flat buffers lie on one device; their tensors change in place.
struct Part {
  explicit Part(PartDecl declared) : decl(std::move(declared)) {}

  PartDecl decl;
  Params params, buffers;
  // What its optimiser moves, over one flat buffer: params, or those of Learns::only in storage of
  // their own, with the constant rest in another. Both empty where the part does not learn.
  Params learned, constant;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<kernels::OptimSegment> segments;  // of `learned`

  bool learns() const { return optimizer != nullptr; }
  // The flat buffers that params are views into: one, or the learned and the constant ones.
  std::vector<Params> flat_buffers() const;
};

// All that a run knows between two steps, by the names of its parts. Methods are values without
// memory: what they need lies here, so it is saved, restored, priced, moved to a device and
// audited without a line in a method.
class State {
 public:
  State() = default;
  // Parts in their first state. Error where a declaration does not fit: a copy of other tensors,
  // a pattern that matches nothing, an input run that lacks a tensor. `dtype` is the master dtype.
  State(const std::vector<PartDecl>& parts, std::uint64_t seed, DType dtype, Device device,
        const Inputs& inputs);

  const std::vector<Part>& parts() const { return parts_; }
  bool contains(std::string_view part) const;
  // Error naming the parts that there are.
  const Part& operator[](std::string_view part) const;
  const Params& params(std::string_view part) const { return (*this)[part].params; }
  // A tensor of a part, among its parameters.
  const Tensor& tensor(std::string_view part, std::string_view name = "value") const;

  // The one place where a gradient becomes an update: one optimiser step on what the part learns,
  // in place, with the part's own learning rate or the step's. `gradient` has the structure of
  // `learned`. No tape may hold the parameters any more.
  void update(std::string_view part, const Params& gradient, const Step& step);
  // New running statistics, or other buffers, of the same structure.
  void update_buffers(std::string_view part, const Params& buffers);
  // Other numbers for the parameters of a part, in place, where captured steps read them.
  void write(std::string_view part, const Params& values);
  // write() for the tensor `name` of a part that has no other.
  void write(std::string_view part, const Tensor& value, std::string_view name = "value");
  // Moves every part that follows another one; before each step.
  void follow();

  // The same parts elsewhere or in another dtype; their optimisers start afresh.
  State to(DType dtype, Device device) const;
  // For programs that load and compare states.
  Part& mutable_part(std::string_view part);

 private:
  std::vector<Part> parts_;
};

}  // namespace ek
