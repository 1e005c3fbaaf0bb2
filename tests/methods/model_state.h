#pragma once
#include <string>
#include <vector>

#include "methods/inputs.h"
#include "methods/session/checkpoint.h"

// A model's numbers without a method around them, to files and back.
struct ModelState {
  ek::Params params, buffers;

  ModelState to(ek::Device device) const { return {params.to(device), buffers.to(device)}; }
};

inline std::vector<ek::NamedTensor> model_tensors(const ModelState& state) {
  std::vector<ek::NamedTensor> all = ek::file_tensors(state.params);
  for (ek::NamedTensor& tensor : ek::file_tensors(state.buffers)) all.push_back(std::move(tensor));
  return all;
}

inline ModelState load_model_tensors(const ek::SafetensorsFile& file, const ek::Model& model,
                                     ek::DType dtype, const std::string& source = "checkpoint") {
  ek::State state({{.name = "model", .params = model.parameters(), .buffers = model.buffers()}}, 0,
                  dtype, {}, ek::Inputs());
  ek::load_model(state, file, model, source);
  return {state["model"].params, state["model"].buffers};
}
