#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor/tensor.h"

// The safetensors format: 8 bytes of little-endian header length, a JSON header
// {"NAME": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ..., "__metadata__":
// {"KEY": "TEXT"}}, then the data, row-major and little-endian. The offsets count from the end of
// the header and cover the data without overlap or hole.
namespace ek {

using NamedTensor = std::pair<std::string, Tensor>;
using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  SafetensorsMetadata metadata;
  std::vector<NamedTensor> tensors;  // in the order of their data

  // Null if there is none.
  const Tensor* find(std::string_view name) const;
};

// A longer header is refused, as it is by the format's reference implementation.
inline constexpr std::size_t safetensors_header_limit_bytes = 100'000'000;

// Reads a file that may be hostile: the whole header is checked against the size of the file before
// a tensor is allocated. Any fault is an Error of one line that names the file (and the tensor).
// F32, F64, BF16, I64 and U8 come as they are, F16 as float32, I32 as int64, BOOL as uint8 (0 or
// 1); other types, and ranks above Shape::max_rank, are refused. Tensors keep the file's layout.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

// The metadata alone; the header is checked as above, the data is not read.
SafetensorsMetadata read_safetensors_metadata(const std::filesystem::path& path);

// Writes the file atomically (engine/io/atomic_file.h). The data lies in the given order, but wider
// element types first, so that every tensor is aligned to its element; the header lists it
// likewise, metadata (sorted by key) first, padded with spaces to a multiple of 8 bytes. The same
// input gives the same bytes. Error for a name that is double, reserved or not UTF-8.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const SafetensorsMetadata& metadata = {});

}  // namespace ek
