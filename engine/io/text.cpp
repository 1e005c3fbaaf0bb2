#include "engine/io/text.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/base/error.h"

namespace ek {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t(0));
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto nearest = std::ranges::min_element(
      known, {}, [&](const std::string& candidate) { return edit_distance(word, candidate); });
  if (nearest == known.end()) return "";
  const std::size_t limit = std::max<std::size_t>(2, nearest->size() / 3);
  if (edit_distance(word, *nearest) > limit) return "";
  return fmt::format(", did you mean '{}'?", *nearest);
}

std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string hash_of(std::string_view text) {
  return fmt::format("{:016x}", fnv1a(text));
}

}  // namespace ek
