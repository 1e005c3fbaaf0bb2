#include "engine/io/strict_json.h"

#include <set>
#include <vector>

#include "engine/io/number.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using nlohmann::json;

std::string cut(std::string text) {
  constexpr std::size_t longest = 80;
  return text.size() > longest ? text.substr(0, longest) + "..." : text;
}

// Control characters and broken UTF-8 are escaped or replaced.
std::string dumped(const json& value) {
  return value.dump(-1, ' ', true, json::error_handler_t::replace);
}

// Builds the value token by token, so that a text at fault is refused where the fault is and before
// anything deep has been built.
class StrictReader : public nlohmann::json_sax<json> {
 public:
  StrictReader(int levels, std::string_view what, const std::string& where)
      : levels_(levels), what_(what), where_(where) {}

  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(json::number_integer_t value) override { return add(value); }
  bool number_unsigned(json::number_unsigned_t value) override { return add(value); }
  bool number_float(json::number_float_t value, const std::string& text) override {
    if (const auto whole = whole_number(text)) {
      constexpr auto top = std::uint64_t(std::numeric_limits<std::int64_t>::max());
      if (!whole->negative) return add(whole->magnitude);
      if (whole->magnitude == 0) return add(value);  // -0.0
      if (whole->magnitude <= top) return add(-std::int64_t(whole->magnitude));
    }
    require(real_number(text).has_value(), "{}: {} is too small or too large for a number", where_,
            printable(text));
    return add(value);
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(json::binary_t&) override { return false; }  // no part of JSON text

  bool start_object(std::size_t) override {
    open(json::object());
    seen_.emplace_back();
    return true;
  }
  bool key(std::string& name) override {
    require(seen_.back().insert(name).second, "{}: duplicate key '{}'", where_, printable(name));
    key_ = name;
    return true;
  }
  bool end_object() override {
    seen_.pop_back();
    open_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    open(json::array());
    return true;
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    throw error;
  }

 private:
  // Where the next value goes.
  json& place(json value) {
    if (open_.empty()) return root_ = std::move(value);
    json& outer = *open_.back();
    if (outer.is_object()) return outer[key_] = std::move(value);
    outer.push_back(std::move(value));
    return outer.back();
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  void open(json value) {
    require(int(open_.size()) < levels_, "{}: nested deeper than the {} levels that {} may have",
            where_, levels_, what_);
    // A container does not move while one inside it is open.
    open_.push_back(&place(std::move(value)));
  }

  int levels_;
  std::string_view what_;
  const std::string& where_;
  json root_;
  std::vector<json*> open_;
  std::vector<std::set<std::string>> seen_;  // the keys of each open object
  std::string key_;
};

}  // namespace

json parse_strict_json(const std::string& text, int levels, std::string_view what,
                       const std::string& where) {
  // The parser would take a NUL for the end and pass over the rest.
  const std::size_t nul = text.find('\0');
  require(nul == std::string::npos, "{}: a NUL byte at byte {}, expected text", where, nul);
  StrictReader reader(levels, what, where);
  json::sax_parse(text, &reader);
  return reader.take();
}

std::string shown(const json& value) {
  return cut(dumped(value));
}

std::string printable(std::string_view text) {
  const std::string quoted = dumped(std::string(text));
  return cut(quoted.substr(1, quoted.size() - 2));
}

}  // namespace ek
