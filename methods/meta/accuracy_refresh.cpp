#include "methods/meta/accuracy_refresh.h"

#include <charconv>
#include <string_view>

#include "kernels/base/error.h"

namespace ek {
namespace {

std::int64_t parse(const std::string& text) {
  if (text == "epoch") return 0;
  constexpr std::string_view prefix = "iterations:";
  std::int64_t every = 0;
  if (text.starts_with(prefix)) {
    const char* begin = text.data() + prefix.size();
    const char* end = text.data() + text.size();
    if (std::from_chars(begin, end, every).ptr != end) every = 0;
  }
  require(every > 0, "method.accuracy_refresh '{}': expected epoch or iterations:N", text);
  return every;
}

}  // namespace

AccuracyRefresh::AccuracyRefresh(const std::string& text) : every_(parse(text)) {}

}  // namespace ek
