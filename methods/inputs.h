#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "methods/state.h"

namespace ek {

class Method;

// A run that another one starts from: a first stage, a teacher, an expert of a group. It predicts
// by its own method; its numbers are constants.
class InputRun {
 public:
  virtual ~InputRun() = default;
  virtual const std::string& name() const = 0;    // what the method calls it: "stage1", "teacher"
  virtual const std::string& source() const = 0;  // its folder, for messages
  // Its parts that inference needs, "model" among them.
  virtual const State& state() const = 0;
  // What its own method predicts.
  virtual Outputs infer(const Tensor& images) const = 0;
};

// The input runs of a run, by name.
class Inputs {
 public:
  void add(std::unique_ptr<const InputRun> run) { runs_.push_back(std::move(run)); }
  bool contains(std::string_view name) const;
  // Error naming those that there are.
  const InputRun& operator[](std::string_view name) const;
  const std::vector<std::unique_ptr<const InputRun>>& runs() const { return runs_; }

  // Overwrites the parameters and buffers with those of an input run's part, but for the names that
  // start afresh. Error where that part lacks a tensor or has another shape.
  void fill(Params& params, Params& buffers, const FromInput& from) const;

 private:
  std::vector<std::unique_ptr<const InputRun>> runs_;
};

}  // namespace ek
