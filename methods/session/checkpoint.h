#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "methods/state.h"
#include "models/model.h"

namespace ek {

// States in files with PyTorch's names and layouts (OIHW). The part "model" has its names as they
// are, "layer1.0.conv1.weight"; other parts that inference needs "PART/NAME"; what training alone
// needs is below "train.": "train.PART/NAME", and "train.optim.PART/momentum_buffer" of optimisers.
enum class Scope : std::uint8_t { everything, inference };

// Tensors under their names in files, "PREFIX" + name, on the cpu.
std::vector<NamedTensor> file_tensors(const Params& params, const std::string& prefix = "");

// The tensors of a state, on the cpu.
std::vector<NamedTensor> checkpoint_tensors(const State& state, Scope scope);
// Their numbers into a state of the same parts, in place. Error, and an unchanged state, where one
// is missing or has another shape; it names the part.
void load_checkpoint(State& state, const SafetensorsFile& file, Scope scope,
                     const std::string& source);

// The part "model" out of any file with the model's tensors: those of training and
// "...num_batches_tracked" are passed over. `source` names the file in messages. Error in one line
// with the first differences when tensors are missing, unknown or of another shape. With `new_head`
// the classifier keeps its numbers, whatever the file has for it: other classes.
void load_model(State& state, const SafetensorsFile& file, const Model& model,
                const std::string& source, bool new_head = false);

// The file of weights that a path stands for: itself, or of a run folder best.safetensors, else
// last.safetensors. Error where a folder has neither.
std::string weights_file(const std::string& path);

// The registry's model whose tensors are those of the file, for files without a recipe: names
// decide on the network and on the classifier, the rows of its weight on the number of classes.
// `name` and `num_classes` restrict the choice where given ("" and 0 leave it open). Error when
// none fits.
std::unique_ptr<const Model> infer_model(const SafetensorsFile& file, const std::string& source,
                                         const std::string& name = "",
                                         std::int64_t num_classes = 0);

}  // namespace ek
