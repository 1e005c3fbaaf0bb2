#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/op/table.h"
#include "models/model.h"

// What model:NAME and metagrad:NAME share: a network whose tensors come from the file.
namespace ek {

// num_classes, classifier and cosine_scale.
std::vector<OpAttribute> network_attributes();

// Settles num_classes 0 from the rows of the classifier's weight in the file; `prefix` comes before
// the names of the network's tensors ("model.").
void settle_num_classes(const std::string& op, const std::string& network,
                        const SafetensorsFile& file, nlohmann::json& attributes,
                        const std::string& prefix = "");

// The network by name under settled attributes.
std::unique_ptr<const Model> network_of(const std::string& network,
                                        const nlohmann::json& attributes);

// Specs as arguments, with file shapes that are checked.
std::vector<OpArgument> as_arguments(const std::vector<ParameterSpec>& specs,
                                     const std::string& prefix, OpKind kind, bool optional = false);

// Tensors of the call by specs. Where a buffer is optional and did not come, its initial value.
Params gather_params(const OpCall& call, const std::vector<ParameterSpec>& specs,
                     const std::string& prefix);

// "[B, 3, H, W]", or for the toy "[B, 2] or [B, 2, 1, 1]".
std::string input_text(const std::string& model);
// Error unless x is that, in PyTorch's terms.
void require_input(const std::string& op, const std::string& argument, const std::string& model,
                   const Tensor& x);

// The networks that ek-op runs.
std::vector<std::string> op_model_names();

// Parameters, moved running statistics and so on of an example, in file layout.
std::vector<NamedTensor> example_state(const Model& model, std::uint64_t seed,
                                       const std::string& prefix = "");

}  // namespace ek
