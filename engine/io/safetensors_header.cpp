#include "engine/io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "kernels/base/error.h"

namespace ek::safetensors {
namespace {

using nlohmann::json;

struct TypeRow {
  std::string_view name;
  StoredType type;
  std::uint64_t bytes;
  DType loaded;
};
constexpr std::array type_table{
    TypeRow{"F64", StoredType::f64, 8, DType::float64},
    TypeRow{"I64", StoredType::i64, 8, DType::int64},
    TypeRow{"F32", StoredType::f32, 4, DType::float32},
    TypeRow{"I32", StoredType::i32, 4, DType::int64},
    TypeRow{"BF16", StoredType::bf16, 2, DType::bfloat16},
    TypeRow{"F16", StoredType::f16, 2, DType::float32},
    TypeRow{"U8", StoredType::u8, 1, DType::uint8},
    TypeRow{"BOOL", StoredType::boolean, 1, DType::uint8},
};

// Takes the header token by token and holds it to the one structure that it may have, so that no
// tree of a hostile text is ever built: each method returns or throws Error at the first token that
// does not fit.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  explicit HeaderReader(std::string_view file) : file_(file) {}

  Header take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::begin:
        state_ = State::top;
        return true;
      case State::tensor_or_metadata:
        if (key_ == "__metadata__") {
          state_ = State::metadata;
        } else {
          entry_ = {};
          entry_.name = key_;
          seen_ = {};
          state_ = State::tensor;
        }
        return true;
      default:
        unexpected("an object");
    }
  }

  bool key(std::string& key) override {
    switch (state_) {
      case State::top:
        if (!names_.insert(key).second) fail("{}: {} is there twice", file_, shown_name(key));
        key_ = key;
        state_ = State::tensor_or_metadata;
        return true;
      case State::metadata:
        if (header_.metadata.contains(key)) {
          fail("{}: __metadata__ has {} twice", file_, shown_name(key));
        }
        metadata_key_ = key;
        state_ = State::metadata_value;
        return true;
      default:
        break;  // State::tensor; keys come nowhere else
    }
    const auto field = std::ranges::find(fields, key);
    if (field == fields.end()) {
      fail("{}: tensor {} has the key {}, expected dtype, shape and data_offsets", file_,
           shown_name(entry_.name), shown_name(key));
    }
    bool& seen = seen_[std::size_t(field - fields.begin())];
    if (seen) fail("{}: tensor {} has {} twice", file_, shown_name(entry_.name), key);
    seen = true;
    constexpr std::array next{State::type, State::shape, State::offsets};
    state_ = next[std::size_t(field - fields.begin())];
    numbers_.clear();
    in_array_ = false;
    return true;
  }

  bool string(std::string& text) override {
    if (state_ == State::metadata_value) {
      header_.metadata.emplace(metadata_key_, text);
      state_ = State::metadata;
      return true;
    }
    if (state_ != State::type) unexpected("a string");
    const auto row = std::ranges::find(type_table, text, &TypeRow::name);
    if (row == type_table.end()) {
      fail("{}: tensor {} has dtype {}, expected F64, F32, BF16, F16, I64, I32, U8 or BOOL", file_,
           shown_name(entry_.name), shown_name(text));
    }
    entry_.type = row->type;
    state_ = State::tensor;
    return true;
  }

  bool start_array(std::size_t) override {
    if ((state_ != State::shape && state_ != State::offsets) || in_array_) unexpected("an array");
    in_array_ = true;
    return true;
  }

  bool number_unsigned(json::number_unsigned_t value) override {
    if (!in_array_) unexpected("a number");
    const std::size_t limit = state_ == State::shape ? Shape::max_rank : 2;
    if (numbers_.size() == limit) {
      fail("{}: tensor {} has more than {} numbers in its {}", file_, shown_name(entry_.name),
           limit, field_name());
    }
    if (value > std::uint64_t(std::numeric_limits<std::int64_t>::max())) bad_number(value);
    numbers_.push_back(std::int64_t(value));
    return true;
  }
  bool number_integer(json::number_integer_t value) override {
    if (!in_array_) unexpected("a number");
    bad_number(value);
  }
  bool number_float(json::number_float_t value, const std::string&) override {
    if (!in_array_) unexpected("a number");
    bad_number(value);
  }

  bool end_array() override {
    if (state_ == State::shape) {
      entry_.shape = Shape(std::span<const std::int64_t>(numbers_));
    } else {
      if (numbers_.size() != 2) {
        fail("{}: tensor {} has {} data_offsets, expected 2", file_, shown_name(entry_.name),
             numbers_.size());
      }
      entry_.begin = std::uint64_t(numbers_[0]);
      entry_.end = std::uint64_t(numbers_[1]);
    }
    in_array_ = false;
    state_ = State::tensor;
    return true;
  }

  bool end_object() override {
    if (state_ == State::tensor) {
      for (std::size_t i = 0; i < fields.size(); ++i) {
        if (!seen_[i]) fail("{}: tensor {} has no {}", file_, shown_name(entry_.name), fields[i]);
      }
      header_.entries.push_back(std::move(entry_));
    }
    state_ = state_ == State::top ? State::end : State::top;
    return true;
  }

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("true or false"); }
  bool binary(json::binary_t&) override { unexpected("binary data"); }

  // The parser's own text quotes the input, control characters and all; the position is enough.
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fail("{}: the header is not JSON in UTF-8, at its byte {}", file_, position);
  }

 private:
  enum class State {
    begin,
    top,
    tensor_or_metadata,
    metadata,
    metadata_value,
    tensor,
    type,
    shape,
    offsets,
    end
  };
  static constexpr std::array<std::string_view, 3> fields{"dtype", "shape", "data_offsets"};

  std::string_view field_name() const { return state_ == State::shape ? "shape" : "data_offsets"; }

  [[noreturn]] void unexpected(std::string_view what) const {
    switch (state_) {
      case State::begin:
        fail("{}: the header is {}, expected an object", file_, what);
      case State::tensor_or_metadata:
        fail("{}: {} is {}, expected an object", file_, shown_name(key_), what);
      case State::metadata_value:
        fail("{}: __metadata__ has {} under {}, expected a string", file_, what,
             shown_name(metadata_key_));
      case State::type:
        fail("{}: tensor {} has {} as its dtype, expected a string", file_, shown_name(entry_.name),
             what);
      default:
        fail("{}: tensor {} has {} {} its {}, expected an array of whole numbers", file_,
             shown_name(entry_.name), what, in_array_ ? "in" : "as", field_name());
    }
  }

  template <class T>
  [[noreturn]] void bad_number(T value) const {
    fail("{}: tensor {} has {} in its {}, expected whole numbers from 0 to 2^63-1", file_,
         shown_name(entry_.name), value, field_name());
  }

  std::string file_;
  Header header_;
  State state_ = State::begin;
  std::string key_, metadata_key_;
  std::set<std::string> names_;
  HeaderEntry entry_;
  std::array<bool, 3> seen_{};
  std::vector<std::int64_t> numbers_;
  bool in_array_ = false;
};

// Bytes of a dense array, or nothing where the product overflows.
std::optional<std::uint64_t> checked_bytes(const Shape& shape, std::uint64_t element_bytes) {
  std::uint64_t bytes = element_bytes;
  for (std::int64_t extent : shape.extents()) {
    if (__builtin_mul_overflow(bytes, std::uint64_t(extent), &bytes)) return std::nullopt;
  }
  return bytes;
}

}  // namespace

std::uint64_t size_of(StoredType type) {
  return std::ranges::find(type_table, type, &TypeRow::type)->bytes;
}

DType loaded_as(StoredType type) {
  return std::ranges::find(type_table, type, &TypeRow::type)->loaded;
}

std::string shown_name(std::string_view name) {
  constexpr std::size_t longest = 100;
  const std::string shown(name.substr(0, longest));
  const std::string text = json(shown).dump(-1, ' ', true, json::error_handler_t::ignore);
  return name.size() > longest ? text + "..." : text;
}

Header parse_header(std::string_view text, std::uint64_t data_bytes, std::string_view file) {
  // The parser would take a NUL for the end and pass over the rest.
  const std::size_t nul = text.find('\0');
  require(nul == std::string_view::npos, "{}: the header has a NUL at its byte {}, expected JSON",
          file, nul);
  HeaderReader reader(file);
  json::sax_parse(text.begin(), text.end(), &reader);
  Header header = reader.take();

  for (const HeaderEntry& entry : header.entries) {
    const std::string name = shown_name(entry.name);
    require(entry.begin <= entry.end && entry.end <= data_bytes,
            "{}: tensor {} lies at bytes {} to {}, expected within the {} bytes of data", file,
            name, entry.begin, entry.end, data_bytes);
    const auto bytes = checked_bytes(entry.shape, size_of(entry.type));
    require(bytes.has_value(), "{}: tensor {} has shape {}, which is too large", file, name,
            entry.shape.str());
    require(*bytes == entry.end - entry.begin,
            "{}: tensor {} of shape {} needs {} bytes, its data_offsets hold {}", file, name,
            entry.shape.str(), *bytes, entry.end - entry.begin);
  }
  std::ranges::stable_sort(header.entries, {}, [](const HeaderEntry& entry) {
    return std::pair(entry.begin, entry.end);
  });
  std::uint64_t covered = 0;
  for (const HeaderEntry& entry : header.entries) {
    require(entry.begin == covered, "{}: tensor {} begins at byte {} of the data, expected {} ({})",
            file, shown_name(entry.name), entry.begin, covered,
            entry.begin < covered ? "it overlaps another tensor" : "there is a hole before it");
    covered = entry.end;
  }
  require(covered == data_bytes, "{}: {} bytes of data, expected {} from the header", file,
          data_bytes, covered);
  return header;
}

}  // namespace ek::safetensors
