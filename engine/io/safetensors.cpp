#include "engine/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <system_error>

#include "engine/io/atomic_file.h"
#include "engine/io/safetensors_header.h"

namespace ek {
namespace fs = std::filesystem;

namespace {

using safetensors::Header;
using safetensors::HeaderEntry;
using safetensors::shown_name;
using safetensors::StoredType;

static_assert(std::endian::native == std::endian::little, "the data is read and written as it is");

struct Opened {
  std::ifstream stream;
  Header header;
};

void read_exactly(std::ifstream& stream, void* data, std::size_t bytes, const fs::path& path) {
  stream.read(static_cast<char*>(data), std::streamsize(bytes));
  require(std::size_t(stream.gcount()) == bytes, "{}: cannot read all of it", path.string());
}

// Leaves the stream at the first byte of the data.
Opened open(const fs::path& path) {
  const std::string file = path.string();
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  require(fs::exists(status), "{}: cannot read: {}", file,
          code ? code.message() : "No such file or directory");
  require(fs::is_regular_file(status), "{}: cannot read: not a regular file", file);
  Opened opened{std::ifstream(path, std::ios::binary), {}};
  if (!opened.stream.is_open()) {
    fail("{}: cannot read: {}", file, std::generic_category().message(errno));
  }
  const std::uint64_t file_bytes = fs::file_size(path, code);
  require(!code, "{}: cannot read: {}", file, code.message());
  require(file_bytes >= 8, "{}: {} bytes, expected a safetensors file of 8 at least", file,
          file_bytes);
  std::uint64_t header_bytes = 0;
  read_exactly(opened.stream, &header_bytes, sizeof header_bytes, path);
  require(header_bytes <= safetensors_header_limit_bytes,
          "{}: a header of {} bytes, expected {} at most (is it a safetensors file?)", file,
          header_bytes, safetensors_header_limit_bytes);
  require(header_bytes <= file_bytes - 8, "{}: a header of {} bytes, but the file ends after {}",
          file, header_bytes, file_bytes - 8);
  std::string text(std::size_t(header_bytes), '\0');
  read_exactly(opened.stream, text.data(), text.size(), path);
  opened.header = safetensors::parse_header(text, file_bytes - 8 - header_bytes, file);
  return opened;
}

float half_to_float(std::uint16_t half) {
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  if (exponent == 31) {
    const std::uint32_t bits = (half & 0x8000u) << 16 | 0x7f800000u | std::uint32_t(mantissa) << 13;
    return std::bit_cast<float>(bits);  // infinity, or a NaN with its payload
  }
  if (exponent == 0) return sign * std::ldexp(float(mantissa), -24);
  return sign * std::ldexp(float(mantissa + 1024), exponent - 25);
}

// Reads elements of type From in pieces and stores convert(element).
template <class From, class To, class Convert>
void read_converted(std::ifstream& stream, std::span<To> out, const fs::path& path,
                    Convert&& convert) {
  std::array<From, 8192> piece;
  for (std::size_t done = 0; done < out.size();) {
    const std::size_t count = std::min(piece.size(), out.size() - done);
    read_exactly(stream, piece.data(), count * sizeof(From), path);
    for (std::size_t i = 0; i < count; ++i) out[done + i] = convert(piece[i]);
    done += count;
  }
}

Tensor read_tensor(std::ifstream& stream, const HeaderEntry& entry, const fs::path& path) {
  Tensor tensor = Tensor::empty(entry.shape, safetensors::loaded_as(entry.type));
  const std::size_t count = std::size_t(tensor.numel());
  if (count == 0) return tensor;
  switch (entry.type) {
    case StoredType::f16:
      read_converted<std::uint16_t>(stream, std::span(tensor.output<float>(), count), path,
                                    half_to_float);
      break;
    case StoredType::i32:
      read_converted<std::int32_t>(stream, std::span(tensor.output<std::int64_t>(), count), path,
                                   [](std::int32_t value) { return std::int64_t(value); });
      break;
    case StoredType::boolean:
      read_converted<std::uint8_t>(stream, std::span(tensor.output<std::uint8_t>(), count), path,
                                   [](std::uint8_t value) { return std::uint8_t(value != 0); });
      break;
    default:
      read_exactly(stream, tensor.output_raw(), tensor.bytes(), path);
  }
  return tensor;
}

std::string_view stored_name(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "F32";
    case DType::float64:
      return "F64";
    case DType::bfloat16:
      return "BF16";
    case DType::int64:
      return "I64";
    case DType::uint8:
      return "U8";
  }
  return "?";
}

std::string header_text(const std::vector<const NamedTensor*>& order,
                        const SafetensorsMetadata& metadata, const std::string& file) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t begin = 0;
  std::string text;
  try {
    text = header.dump();
    text.pop_back();  // the closing brace; tensors are added as text, which is linear in their
                      // number
    for (const NamedTensor* named : order) {
      const auto& [name, tensor] = *named;
      const std::uint64_t end = begin + tensor.bytes();
      if (text.size() > 1) text += ',';
      text += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          nlohmann::json(name).dump(), stored_name(tensor.dtype()),
                          fmt::join(tensor.shape().extents(), ","), begin, end);
      begin = end;
    }
  } catch (const nlohmann::json::exception&) {
    fail("{}: cannot write: a tensor's name or the metadata is not UTF-8", file);
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

const Tensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &NamedTensor::first);
  return found == tensors.end() ? nullptr : &found->second;
}

SafetensorsFile read_safetensors(const fs::path& path) {
  Opened opened = open(path);
  SafetensorsFile result{std::move(opened.header.metadata), {}};
  result.tensors.reserve(opened.header.entries.size());
  for (HeaderEntry& entry : opened.header.entries) {
    Tensor tensor = read_tensor(opened.stream, entry, path);
    result.tensors.emplace_back(std::move(entry.name), std::move(tensor));
  }
  return result;
}

SafetensorsMetadata read_safetensors_metadata(const fs::path& path) {
  return std::move(open(path).header.metadata);
}

void write_safetensors(const fs::path& path, const std::vector<NamedTensor>& tensors,
                       const SafetensorsMetadata& metadata) {
  const std::string file = path.string();
  std::set<std::string_view> names;
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& named : tensors) {
    const std::string& name = named.first;
    require(named.second.defined(), "{}: cannot write: tensor {} is undefined", file,
            shown_name(name));
    require(name != "__metadata__", "{}: cannot write: a tensor is named __metadata__", file);
    require(names.insert(name).second, "{}: cannot write: two tensors are named {}", file,
            shown_name(name));
    order.push_back(&named);
  }
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [](const NamedTensor* named) { return size_of(named->second.dtype()); });
  const std::string header = header_text(order, metadata, file);
  require(header.size() <= safetensors_header_limit_bytes,
          "{}: cannot write: a header of {} bytes, at most {} can be read back", file,
          header.size(), safetensors_header_limit_bytes);

  AtomicFile out(path);
  const std::uint64_t header_bytes = header.size();
  out.write(&header_bytes, sizeof header_bytes);
  out.write(header);
  for (const NamedTensor* named : order) {
    const Tensor host = named->second.to(Device{});
    if (host.numel() > 0) out.write(host.raw(), host.bytes());
  }
  out.commit();
}

}  // namespace ek
