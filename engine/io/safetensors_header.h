#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor/dtype.h"
#include "engine/tensor/shape.h"

// The JSON header of a safetensors file, parsed without believing it.
namespace ek::safetensors {

enum class StoredType : std::uint8_t { f64, i64, f32, i32, bf16, f16, u8, boolean };

std::uint64_t size_of(StoredType type);
DType loaded_as(StoredType type);

struct HeaderEntry {
  std::string name;
  StoredType type = StoredType::f32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;  // bytes, from the end of the header
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<HeaderEntry> entries;  // sorted by begin
};

// Parses and checks `text` for a file with `data_bytes` bytes after the header: after it, the
// entries have distinct names, known types and sizes that fit their shapes, and their ranges cover
// the data exactly. Error messages start with `file`. Memory use is bounded by a small multiple of
// the text, whatever its nesting.
Header parse_header(std::string_view text, std::uint64_t data_bytes, std::string_view file);

// `name` for an error message: in quotes, control characters escaped, shortened.
std::string shown_name(std::string_view name);

}  // namespace ek::safetensors
