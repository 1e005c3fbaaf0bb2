// Model tensors to files and back: names, layouts, and what does not fit.
#include "methods/session/checkpoint.h"

#include <algorithm>

#include "models/registry.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/model_state.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

// Buffers that differ from each other and from their start.
Params marked(const Params& buffers) {
  Params out = buffers.clone().flattened();
  std::vector<double> values;
  for (std::int64_t i = 0; i < out.numel(); ++i) values.push_back(1 + 0.001 * double(i));
  return out.over(Tensor::from(values, {out.numel()}).to(out.dtype()));
}

ModelState state_of(const Model& model, DType dtype = DType::float32) {
  return {model.init(5, dtype), marked(model.initial_buffers(dtype))};
}

Tensor& tensor_of(SafetensorsFile& file, const std::string& name) {
  const auto found =
      std::ranges::find_if(file.tensors, [&](const auto& entry) { return entry.first == name; });
  REQUIRE(found != file.tensors.end());
  return found->second;
}

}  // namespace

TEST_CASE("a model through a file and back, bit for bit", "[checkpoint]") {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const char* classifier : {"linear", "cosine"}) {
      const auto model = make_model("resnet8", 7, classifier);
      const ModelState state = state_of(*model, dtype);
      const TempDir dir;
      write_safetensors(dir / "m.safetensors", model_tensors(state));
      const SafetensorsFile file = read_safetensors(dir / "m.safetensors");
      const ModelState back = load_model_tensors(file, *model, dtype);
      require_same_structure(back.params, state.params, "test");
      require_same_structure(back.buffers, state.buffers, "test");
      REQUIRE(back.params.flat().to_vector() == state.params.flat().to_vector());
      REQUIRE(back.buffers.flat().to_vector() == state.buffers.flat().to_vector());
      REQUIRE(back.params.dtype() == dtype);
    }
  }
}

TEST_CASE("files hold OIHW", "[checkpoint]") {
  const auto model = make_model("resnet8", 7);
  const ModelState state = state_of(*model);
  SafetensorsFile file{{}, model_tensors(state)};
  const Tensor in_file = tensor_of(file, "conv1.weight");
  const Tensor ours = state.params["conv1.weight"];
  REQUIRE(in_file.shape() == Shape{16, 3, 3, 3});
  // [o, c, h, w] of the file is [o, h, w, c] of the engine.
  const auto f = in_file.to_vector(), e = ours.to_vector();
  for (std::size_t o = 0; o < 16; ++o) {
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t h = 0; h < 3; ++h) {
        for (std::size_t w = 0; w < 3; ++w) {
          REQUIRE(f[((o * 3 + c) * 3 + h) * 3 + w] == e[((o * 3 + h) * 3 + w) * 3 + c]);
        }
      }
    }
  }
  REQUIRE(tensor_of(file, "layer2.0.conv1.weight").shape() == Shape{32, 16, 3, 3});
  REQUIRE(tensor_of(file, "bn1.running_mean").shape() == Shape{16});
}

TEST_CASE("training state and batch counters are passed over", "[checkpoint]") {
  const auto model = make_model("resnet8", 7);
  SafetensorsFile file{{}, model_tensors(state_of(*model))};
  file.tensors.emplace_back("bn1.num_batches_tracked", Tensor::full({}, 3, DType::int64));
  file.tensors.emplace_back("train.optim.velocity", Tensor::zeros({4}, DType::float32));
  const ModelState back = load_model_tensors(file, *model, DType::float64);
  REQUIRE(back.params.dtype() == DType::float64);
  REQUIRE(back.params.size() == model->parameters().size());
}

TEST_CASE("what does not fit is named, in one line", "[checkpoint]") {
  const auto model = make_model("resnet8", 7);
  const SafetensorsFile good{{}, model_tensors(state_of(*model))};
  const auto message = [&](auto&& change) {
    SafetensorsFile file = good;
    change(file);
    const std::string text =
        error_of([&] { load_model_tensors(file, *model, DType::float32, "f.safetensors"); });
    REQUIRE(text.starts_with("f.safetensors: does not fit model resnet8 with 7 classes: "));
    REQUIRE_FALSE(contains(text, "\n"));
    return text;
  };
  REQUIRE(contains(message([](SafetensorsFile& f) { f.tensors.erase(f.tensors.begin()); }),
                   "conv1.weight [16, 3, 3, 3] is missing"));
  REQUIRE(contains(message([](SafetensorsFile& f) {
                     f.tensors.emplace_back("fc.weight", Tensor::zeros({7, 9}, DType::float32));
                   }),
                   "fc.weight [7, 9] is not in the model"));
  REQUIRE(contains(message([](SafetensorsFile& f) {
                     tensor_of(f, "linear.weight") = Tensor::zeros({10, 64}, DType::float32);
                   }),
                   "linear.weight is [10, 64], expected [7, 64]"));
  REQUIRE(contains(message([](SafetensorsFile& f) {
                     tensor_of(f, "bn1.weight") = Tensor::zeros({16}, DType::int64);
                   }),
                   "bn1.weight is int64, expected floating point"));
  // OHWI instead of OIHW shows where the two differ.
  REQUIRE(contains(
      message([](SafetensorsFile& f) {
        tensor_of(f, "layer1.0.conv1.weight") = Tensor::zeros({16, 3, 3, 16}, DType::float32);
      }),
      "layer1.0.conv1.weight is [16, 3, 3, 16], expected [16, 16, 3, 3]"));
  REQUIRE(contains(message([](SafetensorsFile& f) { f.tensors.clear(); }), "; and "));
}

TEST_CASE("the network of a foreign file is found by its tensors", "[checkpoint]") {
  for (const char* name : {"resnet8", "resnet20", "resnet32"}) {
    const auto model = make_model(name, 13);
    const SafetensorsFile file{{}, model_tensors(state_of(*model))};
    const auto found = infer_model(file, "f");
    REQUIRE(found->name() == name);
    REQUIRE(found->num_classes() == 13);
  }
  const auto cosine = make_model("resnet8", 4, "cosine");
  SafetensorsFile file{{}, model_tensors(state_of(*cosine))};
  REQUIRE(infer_model(file, "f")->parameters().size() == cosine->parameters().size());
  REQUIRE(contains(error_of([&] { infer_model(file, "f", "resnet32"); }),
                   "does not fit model resnet32"));
  REQUIRE(contains(error_of([&] { infer_model(file, "f", "", 9); }),
                   "linear.weight is [4, 64], expected [9, 64]"));
  file.tensors.clear();
  REQUIRE(contains(error_of([&] { infer_model(file, "f"); }), "no such tensor"));
}
