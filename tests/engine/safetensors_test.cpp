#include "engine/io/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

// A file of this header and data, the length in front.
std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.numel() == 0 || std::memcmp(a.data<T>(), b.data<T>(), a.bytes()) == 0);
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, bit for bit") {
  TempDir dir;
  const auto path = dir / "a.safetensors";
  const float odd = std::numeric_limits<float>::quiet_NaN();
  const std::vector<NamedTensor> tensors{
      {"mask", Tensor::from(std::vector<std::uint8_t>{1, 0, 255}, {3})},
      {"conv1.weight", Tensor::from(std::vector<float>{1, -0.0f, odd, 4, 5, 6}, {1, 2, 3})},
      {"labels", Tensor::from(std::vector<std::int64_t>{-1, 1LL << 60}, {2})},
      {"half", Tensor::from(std::vector<bf16>{{0x3f80}, {0xffc1}}, {2})},
      {"exact", Tensor::full({}, 0.1, DType::float64)},
      {"empty", Tensor::zeros({0, 5}, DType::float32)},
  };
  const SafetensorsMetadata metadata{{"format", "pt"}, {"quote \"\n\u00e9", "{\"a\": [1]}"}};
  write_safetensors(path, tensors, metadata);

  const SafetensorsFile file = read_safetensors(path);
  CHECK(file.metadata == metadata);
  CHECK(read_safetensors_metadata(path) == metadata);
  REQUIRE(file.tensors.size() == tensors.size());
  const auto both = [&](const char* name, auto&& same) {
    const Tensor* found = file.find(name);
    REQUIRE(found != nullptr);
    for (const auto& [other, tensor] : tensors) {
      if (other == name) CHECK(same(*found, tensor));
    }
  };
  both("mask", same_bits<std::uint8_t>);
  both("conv1.weight", same_bits<float>);
  both("labels", same_bits<std::int64_t>);
  both("half", same_bits<bf16>);
  both("exact", same_bits<double>);
  both("empty", same_bits<float>);
  CHECK(file.find("conv1") == nullptr);
  // Wider types first, otherwise as given.
  std::vector<std::string> order;
  for (const auto& [name, tensor] : file.tensors) order.push_back(name);
  CHECK(order ==
        std::vector<std::string>{"labels", "exact", "conv1.weight", "empty", "half", "mask"});

  // The same input gives the same bytes, and reading and writing again does too.
  const std::string bytes = file_bytes(path);
  write_safetensors(dir / "b.safetensors", tensors, metadata);
  CHECK(file_bytes(dir / "b.safetensors") == bytes);
  write_safetensors(dir / "c.safetensors", file.tensors, file.metadata);
  CHECK(file_bytes(dir / "c.safetensors") == bytes);
  CHECK(dir.count() == 3);
}

TEST_CASE("safetensors: the bytes of a small file") {
  TempDir dir;
  write_safetensors(dir / "a", {{"w", Tensor::from(std::vector<float>{1, 2}, {2})}}, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(file_bytes(dir / "a") == safetensors_bytes(padded, bytes_of<float>({1, 2})));
  write_safetensors(dir / "none", {});
  CHECK(file_bytes(dir / "none") == safetensors_bytes("{}      ", ""));
  CHECK(read_safetensors(dir / "none").tensors.empty());
}

TEST_CASE("safetensors: many tensors, longer than one buffer") {
  TempDir dir;
  std::vector<float> values(100'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(i) * 0.5f;
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < 300; ++i) {
    tensors.emplace_back("layer." + std::to_string(i), Tensor::full({i % 7}, i, DType::float32));
  }
  tensors.emplace_back("large", Tensor::from(values, {100, 1000}));
  write_safetensors(dir / "a", tensors);
  const SafetensorsFile file = read_safetensors(dir / "a");
  REQUIRE(file.tensors.size() == tensors.size());
  CHECK(same_bits<float>(*file.find("large"), tensors.back().second));
  CHECK(file.find("layer.299")->to_vector() == std::vector<double>(299 % 7, 299.0));
}

TEST_CASE("safetensors: half, int32 and bool come as float32, int64 and uint8") {
  TempDir dir;
  const std::string header = R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[20,23]},)"
                             R"("h":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},)"
                             R"("i":{"dtype":"I32","shape":[2],"data_offsets":[12,20]}})";
  // 1, -2, 65504 (largest), 2^-24 (smallest), infinity, NaN
  const std::string data =
      bytes_of<std::uint16_t>({0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x7e00}) +
      bytes_of<std::int32_t>({-5, 2147483647}) + std::string("\0\1\2", 3);
  put_file(dir / "a", safetensors_bytes(header, data));
  const SafetensorsFile file = read_safetensors(dir / "a");
  REQUIRE(file.find("h")->dtype() == DType::float32);
  const auto half = file.find("h")->to_vector();
  CHECK(half[0] == 1);
  CHECK(half[1] == -2);
  CHECK(half[2] == 65504);
  CHECK(half[3] == std::ldexp(1.0, -24));
  CHECK(half[4] == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(half[5]));
  REQUIRE(file.find("i")->dtype() == DType::int64);
  CHECK(file.find("i")->to_vector() == std::vector<double>{-5, 2147483647});
  REQUIRE(file.find("b")->dtype() == DType::uint8);
  CHECK(file.find("b")->to_vector() == std::vector<double>{0, 1, 1});
  CHECK(file.tensors[0].first == "h");  // by offset, not by place in the header
}

TEST_CASE("safetensors: refused when written") {
  TempDir dir;
  const auto path = dir / "a";
  const Tensor x = Tensor::zeros({1}, DType::float32);
  const auto error = [&](const std::vector<NamedTensor>& tensors,
                         const SafetensorsMetadata& metadata = {}) {
    return error_of([&] { write_safetensors(path, tensors, metadata); });
  };
  const std::string start = path.string() + ": cannot write: ";
  CHECK(error({{"x", x}, {"x", x}}) == start + "two tensors are named \"x\"");
  CHECK(error({{"x", {}}}) == start + "tensor \"x\" is undefined");
  CHECK(error({{"__metadata__", x}}) == start + "a tensor is named __metadata__");
  CHECK(error({{"\xff", x}}) == start + "a tensor's name or the metadata is not UTF-8");
  CHECK(error({}, {{"k", "\xff"}}) == start + "a tensor's name or the metadata is not UTF-8");
  CHECK(dir.count() == 0);
  CHECK(contains(error_of([] { write_safetensors("/dev/full", {}); }), "/dev/full: cannot write"));
}
