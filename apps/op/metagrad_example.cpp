#include "apps/op/metagrad_example.h"

namespace ek {

OpExample golden_toy_example(std::uint64_t) {
  using Numbers = std::vector<double>;
  using Labels = std::vector<std::int64_t>;
  OpExample example;
  example.attributes["model"] = "toy";
  example.tensors = {
      {"model.fc1.weight",
       Tensor::from(Numbers{1.691, -0.466, 0.033, 0.408, -0.789, 0.002, -0.001, -1.755}, {4, 2})},
      {"model.bn.weight", Tensor::from(Numbers{1.204, 1.12, 0.875, 0.966}, {4})},
      {"model.bn.bias", Tensor::from(Numbers{0.101, -0.052, -0.049, -0.291}, {4})},
      {"model.fc2.weight", Tensor::from(Numbers{0.388, 0.087, 0.192, -1.069, 1.155, 0.108, -0.271,
                                                1.42, -0.032, -1.015, -0.284, -1.602},
                                        {3, 4})},
      {"model.fc2.bias", Tensor::from(Numbers{0.105, -0.042, -0.074}, {3})},
      {"net.fc1.weight", Tensor::from(Numbers{-0.248, -1.148, 0.401, -0.076, 0.954, -0.295, -1.525,
                                              -0.08, 1.36, -0.307, -0.712, -0.955},
                                      {4, 3})},
      {"net.fc2.weight",
       Tensor::from(Numbers{-0.84, -0.24, -0.944, 1.198, -0.226, 0.087, 1.151, 1.203, -0.17, 0.266,
                            0.588, -0.154, -1.422, 0.524, 0.715, 0.332},
                    {4, 4})},
      {"net.fc3.weight", Tensor::from(Numbers{-0.739, -0.157, -0.473, -0.24, 1.038, 1.224, 0.536,
                                              0.439, 0.541, -0.01, -0.061, -0.539},
                                      {3, 4})},
      {"train.x", Tensor::from(Numbers{1.072, -1.651, 0.535, -2.064, -0.662, -1.204, 1.462, 1.766,
                                       -0.329, 0.841, -0.18, 0.568},
                               {6, 2})},
      {"meta.x", Tensor::from(Numbers{-0.753, -1.708, -1.803, 0.383, 2.248, 0.269, -0.525, 1.912,
                                      0.237, 0.101, 0.253, -0.132},
                              {6, 2})},
      {"class_accuracy", Tensor::from(Numbers{0.9, 0.5, 0.1}, {3})},
      {"train.y", Tensor::from(Labels{0, 0, 0, 1, 1, 2}, {6})},
      {"meta.y", Tensor::from(Labels{0, 0, 1, 1, 2, 2}, {6})},
  };
  return example;
}

}  // namespace ek
