// conv2d and the pools: images NCHW, weights OIHW in files.
#include "apps/op/families.h"
#include "engine/ops.h"

namespace ek {
namespace {

const std::string image = "[N, C, H, W]";

void require_image(std::string_view op, const Tensor& x) {
  require(x.rank() == 4 && x.numel() > 0, "{}: x expected [N, C, H, W], not empty, came {}", op,
          file_shape(x));
}

std::int64_t output_extent(std::int64_t in, std::int64_t padding, std::int64_t window,
                           std::int64_t stride) {
  return (in + 2 * padding - window) / stride + 1;
}

// Padding can ask for more than extents can count.
void require_addressable(std::string_view op, const Tensor& x, std::int64_t channels,
                         std::int64_t height, std::int64_t width) {
  constexpr double limit = 1e12;  // elements
  require(double(x.size(0)) * double(channels) * double(height) * double(width) <= limit,
          "{}: y would be [{}, {}, {}, {}], expected at most {:g} elements", op, x.size(0),
          channels, height, width, limit);
}

std::vector<NamedTensor> run_conv2d(const OpCall& call) {
  const Tensor &x = call.at("x"), &weight = call.at("weight");
  const ops::Conv2dOptions options{call.pair("stride"), call.pair("padding"),
                                   call.integer("groups")};
  require_image("conv2d", x);
  require(weight.rank() == 4 && weight.numel() > 0,
          "conv2d: weight expected [O, C / groups, KH, KW], not empty, came {}",
          file_shape(weight));
  require(x.size(3) % options.groups == 0 && weight.size(0) % options.groups == 0,
          "conv2d: groups {} must divide the channels of x {} and the outputs of weight {}",
          options.groups, file_shape(x), file_shape(weight));
  require(weight.size(3) == x.size(3) / options.groups,
          "conv2d: weight {} takes {} channels, x {} has {} (groups {})", file_shape(weight),
          weight.size(3) * options.groups, file_shape(x), x.size(3), options.groups);
  for (int axis : {0, 1}) {
    const std::int64_t padding = options.padding[std::size_t(axis)];
    require(x.size(axis + 1) + 2 * padding >= weight.size(axis + 1),
            "conv2d: the window of weight {} is larger than x {} with padding {}, {}",
            file_shape(weight), file_shape(x), options.padding[0], options.padding[1]);
  }
  require_addressable(
      "conv2d", x, weight.size(0),
      output_extent(x.size(1), options.padding[0], weight.size(1), options.stride[0]),
      output_extent(x.size(2), options.padding[1], weight.size(2), options.stride[1]));
  return {{"y", ops::conv2d(x, weight, options)}};
}

// `pool` with the attributes checked in PyTorch's terms.
template <class Pool>
std::vector<NamedTensor> run_pool(const char* op, const OpCall& call, Pool&& pool) {
  const Tensor& x = call.at("x");
  require_image(op, x);
  const auto kernel = call.pair("kernel_size"), padding = call.pair("padding");
  const bool given = !call.attributes.at("stride").is_null();
  const ops::Pool2dOptions options{kernel, given ? call.pair("stride") : kernel, padding};
  for (std::size_t i : {0, 1}) {
    require(2 * padding[i] <= kernel[i],
            "{}: padding {}, {} expected at most half of kernel_size {}, {}", op, padding[0],
            padding[1], kernel[0], kernel[1]);
    require(x.size(int(i) + 1) + 2 * padding[i] >= kernel[i],
            "{}: the window {}, {} is larger than x {} with padding {}, {}", op, kernel[0],
            kernel[1], file_shape(x), padding[0], padding[1]);
  }
  require_addressable(op, x, x.size(3),
                      output_extent(x.size(1), padding[0], kernel[0], options.stride[0]),
                      output_extent(x.size(2), padding[1], kernel[1], options.stride[1]));
  return {{"y", pool(x, options)}};
}

std::vector<NamedTensor> run_max_pool2d(const OpCall& call) {
  return run_pool("max_pool2d", call, ops::max_pool2d);
}
std::vector<NamedTensor> run_avg_pool2d(const OpCall& call) {
  return run_pool("avg_pool2d", call, ops::avg_pool2d);
}
std::vector<NamedTensor> run_global_avg_pool(const OpCall& call) {
  require_image("global_avg_pool", call.at("x"));
  return {{"y", ops::global_avg_pool(call.at("x"))}};
}

std::vector<OpAttribute> pool_attributes() {
  OpAttribute kernel = pair_attribute("kernel_size", nullptr, "an integer or [height, width]", 1);
  kernel.required = true;
  return {kernel, pair_attribute("stride", nullptr, "default: kernel_size", 1),
          pair_attribute("padding", 0, "on both sides, at most half of kernel_size", 0)};
}

OpExample conv_example(std::uint64_t seed) {
  return {{{"x", random_normal({2, 4, 7, 6}, seed, 0)},
           {"weight", random_normal({6, 2, 3, 3}, seed, 1)}},
          {{"stride", {2, 1}}, {"padding", 1}, {"groups", 2}}};
}
OpExample pool_example(std::uint64_t seed) {
  return {{{"x", random_normal({2, 3, 7, 6}, seed, 0)}},
          {{"kernel_size", 3}, {"stride", 2}, {"padding", 1}}};
}
OpExample image_example(std::uint64_t seed) {
  return {{{"x", random_normal({2, 3, 4, 5}, seed, 0)}}};
}

}  // namespace

std::vector<OpEntry> conv_ops() {
  const std::vector<OpArgument> x{{"x", OpKind::differentiable, image}};
  const OpArgument activation{.name = "x", .shape = image, .activation = true};
  const std::vector<OpOutput> y{{"y", "[N, C, H', W']"}};
  return {
      {.name = "conv2d",
       .doc = "convolution without bias",
       .signature = {{activation, {"weight", OpKind::differentiable, "[O, C / groups, KH, KW]"}},
                     {{"y", "[N, O, H', W']"}}},
       .attributes = {pair_attribute("stride", 1, "an integer or [height, width]", 1),
                      pair_attribute("padding", 0, "zeros on both sides", 0),
                      {.key = {"groups", 1, "channel groups", {}, 1}}},
       .run = run_conv2d,
       .example = conv_example},
      {.name = "max_pool2d",
       .doc = "maximum over windows; the gradient goes to the first maximum",
       .signature = {x, y},
       .attributes = pool_attributes(),
       .run = run_max_pool2d,
       .example = pool_example},
      {.name = "avg_pool2d",
       .doc = "mean over windows; padding counts as zeros",
       .signature = {x, y},
       .attributes = pool_attributes(),
       .run = run_avg_pool2d,
       .example = pool_example},
      {.name = "global_avg_pool",
       .doc = "mean over height and width",
       .signature = {{activation}, {{"y", "[N, C]"}}},
       .attributes = {},
       .run = run_global_avg_pool,
       .example = image_example},
  };
}

}  // namespace ek
