// Layouts of files and of the engine.
#include "models/layout.h"

#include "models/registry.h"
#include "tests/catch.h"

using ek::Params;
using ek::Shape;
using ek::Tensor;

TEST_CASE("layout: rank-4 tensors", "[layout]") {
  // x[a, c, h, w] = 1000 a + 100 c + 10 h + w
  std::vector<double> first, last;
  for (int a = 0; a < 2; ++a)
    for (int c = 0; c < 3; ++c)
      for (int h = 0; h < 4; ++h)
        for (int w = 0; w < 5; ++w) first.push_back(1000 * a + 100 * c + 10 * h + w);
  for (int a = 0; a < 2; ++a)
    for (int h = 0; h < 4; ++h)
      for (int w = 0; w < 5; ++w)
        for (int c = 0; c < 3; ++c) last.push_back(1000 * a + 100 * c + 10 * h + w);
  for (const ek::DType dtype : {ek::DType::float32, ek::DType::float64}) {
    const Tensor x = Tensor::from(first, {2, 3, 4, 5}).to(dtype);
    const Tensor y = ek::channels_last(x);
    REQUIRE(y.shape() == Shape{2, 4, 5, 3});
    REQUIRE(y.to_vector() == last);
    REQUIRE(ek::channels_first(y).shape() == x.shape());
    REQUIRE(ek::channels_first(y).to_vector() == first);
  }
  REQUIRE_THROWS_WITH(ek::channels_last(Tensor::zeros({2, 3}, ek::DType::float32)),
                      "channels_last: expected a rank-4 tensor, got [2, 3]");
}

TEST_CASE("layout: parameters to the layout of files and back", "[layout]") {
  const Params params = ek::make_model("resnet8", 10)->init(1);
  const Params file = ek::to_file_layout(params);
  REQUIRE(file.is_flat());
  REQUIRE(file["layer2.0.conv1.weight"].shape() == Shape{32, 16, 3, 3});
  REQUIRE(file["linear.weight"].to_vector() == params["linear.weight"].to_vector());
  const Params back = ek::from_file_layout(file);
  ek::require_same_structure(back, params, "round trip");
  REQUIRE(back.flat().to_vector() == params.flat().to_vector());
}
