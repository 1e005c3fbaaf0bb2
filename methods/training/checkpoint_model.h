#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "methods/method.h"
#include "models/model.h"

namespace ek {

// The parameters and buffers of `model` out of a file with PyTorch's names and layouts (OIHW),
// converted to `dtype`, each over one flat buffer. Names that start with "train." (training state)
// and "...num_batches_tracked" are passed over. `source` names the file in messages. Error in one
// line with the first differences when tensors are missing, unknown or of another shape.
TrainState load_model_tensors(const SafetensorsFile& file, const Model& model, DType dtype,
                              const std::string& source = "checkpoint");

// The inverse: parameters, then buffers, in file layout, on the cpu.
std::vector<NamedTensor> model_tensors(const TrainState& state);

// The registry's model whose tensors are those of the file, for files without a recipe: names
// decide on the network and on the classifier, the rows of its weight on the number of classes.
// `name` and `num_classes` restrict the choice where given ("" and 0 leave it open). Error when
// none fits.
std::unique_ptr<const Model> infer_model(const SafetensorsFile& file, const std::string& source,
                                         const std::string& name = "",
                                         std::int64_t num_classes = 0);

}  // namespace ek
