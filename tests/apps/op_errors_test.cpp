// What ek-op says about files and attributes at fault.
#include "apps/op/command.h"
#include "tests/apps/op_files.h"
#include "tests/error_of.h"

using namespace op_files;
using ek::DType;
using ek::NamedTensor;
using ek::Tensor;

namespace {

using Files = std::vector<NamedTensor>;

std::string error_of_run(const std::string& op, const Files& tensors,
                         const std::string& attributes = "") {
  const std::string message = error_of([&] { run(op, tensors, attributes, true); });
  CHECK(!contains(message, "\n"));
  return message;
}

Files conv() {
  return {{"x", Tensor::zeros({1, 2, 4, 4}, DType::float32)},
          {"weight", Tensor::zeros({3, 2, 3, 3}, DType::float32)}};
}

Files with(Files tensors, const std::string& name, const Tensor& tensor) {
  for (auto& [key, old] : tensors) {
    if (key != name) continue;
    old = tensor;
    return tensors;
  }
  tensors.emplace_back(name, tensor);
  return tensors;
}

Tensor zeros(const ek::Shape& shape) {
  return Tensor::zeros(shape, DType::float32);
}

}  // namespace

TEST_CASE("ek-op: unknown names come with the nearest known one", "[op]") {
  CHECK(error_of([] { ek::find_op("conv2f"); }) ==
        "ek-op: 'conv2f' is not known, did you mean 'conv2d'? (ek-op --list shows all)");
  CHECK(error_of_run("conv2d", with(conv(), "wieght", zeros({1}))) ==
        "IN: wieght is no argument of conv2d, did you mean 'weight'?");
  CHECK(error_of_run("conv2d", with(conv(), "ct.z", zeros({1}))) ==
        "IN: ct.z is no argument of conv2d, did you mean 'ct.y'?");
  CHECK(error_of_run("conv2d", conv(), R"({"strid": 2})") ==
        "conv2d: --attrs: unknown attribute 'strid', did you mean 'stride'? (known: stride, "
        "padding, groups)");
  CHECK(error_of_run("relu", {{"x", zeros({1})}}, R"({"slope": 2})") ==
        "relu: --attrs: unknown attribute 'slope'; relu takes none");
  CHECK(contains(error_of_run("loss:cross-entropy", {}, R"({"normalizer": "mean_batches"})"),
                 "came \"mean_batches\", did you mean 'mean_batch'?"));
}

TEST_CASE("ek-op: attributes of another type or out of range", "[op]") {
  const auto message = [](const std::string& attributes) {
    return error_of_run("conv2d", conv(), attributes);
  };
  CHECK(message(R"({"stride": "2"})") ==
        "conv2d: --attrs: 'stride' expected an integer or [height, width], came \"2\"");
  CHECK(message(R"({"stride": [1, 2, 3]})") ==
        "conv2d: --attrs: 'stride' expected an integer or [height, width], came [1,2,3]");
  CHECK(message(R"({"stride": 0})") ==
        "conv2d: --attrs: 'stride' expected an integer from 1 to 1048576, came 0");
  CHECK(message(R"({"padding": [0, 1.5]})") ==
        "conv2d: --attrs: 'padding' expected an integer from 0 to 1048576, came 1.5");
  CHECK(message(R"({"padding": 1048576})") ==
        "conv2d: y would be [1, 3, 2097154, 2097154], expected at most 1e+12 elements");
  CHECK(message(R"({"groups": 2})") ==
        "conv2d: groups 2 must divide the channels of x [1, 2, 4, 4] and the outputs of weight "
        "[3, 2, 3, 3]");
  CHECK(contains(message(R"({"stride": )"), "conv2d: --attrs: line 1, column 12: syntax error"));
  CHECK(message("[1]") == "conv2d: --attrs: expected a JSON object, came [1]");
  CHECK(message(R"({"stride": 1, "stride": 2})") == "conv2d: --attrs: duplicate key 'stride'");
  CHECK(message(R"({"stride": null})").empty());  // the default
  CHECK(error_of_run("max_pool2d", {{"x", zeros({1, 1, 4, 4})}}) ==
        "max_pool2d: --attrs: 'kernel_size' is missing, an integer or [height, width]");
  CHECK(error_of_run("max_pool2d", {{"x", zeros({1, 1, 4, 4})}},
                     R"({"kernel_size": 2, "padding": 2})") ==
        "max_pool2d: padding 2, 2 expected at most half of kernel_size 2, 2");
}

TEST_CASE("ek-op: tensors that are missing, of another type or shape", "[op]") {
  CHECK(error_of_run("conv2d", {{"x", zeros({1, 2, 4, 4})}}) ==
        "IN: argument weight [O, C / groups, KH, KW] of conv2d is missing");
  CHECK(error_of_run("relu", {{"x", whole({1})}}) ==
        "IN: x expected floating point, came int64 [1]");
  CHECK(error_of_run("conv2d", with(conv(), "x", zeros({2, 4, 4}))) ==
        "conv2d: x expected [N, C, H, W], not empty, came [2, 4, 4]");
  CHECK(error_of_run("conv2d", with(conv(), "x", zeros({1, 3, 5, 4}))) ==
        "conv2d: weight [3, 2, 3, 3] takes 2 channels, x [1, 3, 5, 4] has 3 (groups 1)");
  CHECK(error_of_run("conv2d", with(conv(), "x", zeros({1, 2, 5, 2}))) ==
        "conv2d: the window of weight [3, 2, 3, 3] is larger than x [1, 2, 5, 2] with padding 0, "
        "0");
  CHECK(error_of_run("add", {{"a", zeros({1, 2, 3, 4})}, {"b", zeros({1, 2, 4, 3})}}) ==
        "add: b expected the shape of a [1, 2, 3, 4], came [1, 2, 4, 3]");
  CHECK(error_of_run("conv2d", with(conv(), "ct.y", zeros({1, 3, 3, 2}))) ==
        "IN: ct.y expected [1, 3, 2, 2], came [1, 3, 3, 2]");
  CHECK(error_of_run("conv2d", with(conv(), "t.x", zeros({1, 2, 4, 3}))) ==
        "IN: t.x expected [1, 2, 4, 4], came [1, 2, 4, 3]");

  const Files loss{{"logits", zeros({2, 3})}, {"labels", whole({0, 3})}};
  CHECK(error_of_run("softmax_cross_entropy", loss) ==
        "softmax_cross_entropy: labels[1] = 3 is not in [0, 3)");
  CHECK(error_of_run("softmax_cross_entropy", with(loss, "labels", zeros({2}))) ==
        "IN: labels expected int64, came float32 [2]");
  CHECK(error_of_run("loss:balanced-softmax", loss) ==
        "IN: argument class_counts [C], training images per class of loss:balanced-softmax is "
        "missing");
  CHECK(error_of_run("loss:balanced-softmax", with(loss, "class_counts", zeros({2}))) ==
        "loss:balanced-softmax: class_counts expected [3] for logits [2, 3], came [2]");
  CHECK(error_of_run("loss:balanced-softmax", with(loss, "class_counts", real({1, 0.5, 1}, {3}))) ==
        "IN: class_counts expected whole numbers, came 0.5");
}

TEST_CASE("ek-op: what has no derivative takes no direction", "[op]") {
  Files norm{{"x", zeros({3, 2})}};
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) {
    norm.emplace_back(name, zeros({2}));
  }
  CHECK(error_of_run("batch_norm", with(norm, "t.running_mean", zeros({2}))) ==
        "IN: t.running_mean: argument running_mean of batch_norm has no derivative");
  CHECK(error_of_run("batch_norm", with(norm, "ct.new_running_var", zeros({2}))) ==
        "IN: ct.new_running_var: output new_running_var of batch_norm is not differentiated");
  CHECK(error_of_run("batch_norm", with(norm, "x", zeros({1, 2})), R"({"training": true})") ==
        "batch_norm: training expected more than 1 value per channel, came 1");
  const ek::OpExample toy = ek::find_op("metagrad:difficulty-net").example(0);
  CHECK(error_of_run("metagrad:difficulty-net", toy.tensors, toy.attributes.dump()) ==
        "metagrad:difficulty-net: --vjp and --jvp expected an op with differentiable arguments, "
        "it has none");
}

TEST_CASE("ek-op: models name the tensor at fault in the file's layout", "[op]") {
  const Files model = ek::find_op("model:resnet8").example(0).tensors;
  CHECK(error_of_run("model:resnet8", with(model, "conv1.weight", zeros({16, 3, 3, 4}))) ==
        "IN: conv1.weight expected [16, 3, 3, 3], came [16, 3, 3, 4]");
  CHECK(error_of_run("model:resnet8", with(model, "x", zeros({2, 1, 8, 8}))) ==
        "model:resnet8: x expected [B, 3, H, W], not empty, came [2, 1, 8, 8]");
  CHECK(error_of_run("model:resnet8", model, R"({"num_classes": 7})") ==
        "IN: linear.weight expected [7, 64], came [5, 64]");
  CHECK(error_of_run("model:resnet8", {{"x", zeros({2, 3, 8, 8})}}) ==
        "model:resnet8: expected the classifier linear.weight [classes, 64], came no such tensor");
  CHECK(error_of_run("model:resnet20", model) ==
        "IN: argument layer1.1.conv1.weight [16, 16, 3, 3] of model:resnet20 is missing");
}

TEST_CASE("ek-op: the table is printed whole", "[op]") {
  for (const ek::OpEntry& op : ek::op_table()) {
    CAPTURE(op.name);
    const std::string text = ek::describe(op);
    CHECK(text.starts_with(op.name + ": "));
    for (const auto& argument : op.signature.arguments) CHECK(contains(text, argument.name));
    for (const auto& output : op.signature.outputs) CHECK(contains(text, output.name));
    for (const auto& attribute : op.attributes) CHECK(contains(text, attribute.key.path));
  }
  CHECK(ek::print_tensors({{"y", real({1.5, -2}, {1, 2})}, {"n", whole({3})}}) ==
        "y  float64 [1, 2]\n               1.5               -2\nn  int64 [1]\n           3\n");
  const std::string abbreviated = ek::print_tensors({{"x", zeros({30, 10})}});
  CHECK(contains(abbreviated, "x  float32 [30, 10]\n"));
  CHECK(contains(abbreviated, "  ... 280 more\n"));
}
