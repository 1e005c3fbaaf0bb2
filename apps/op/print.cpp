#include "apps/op/command.h"

namespace ek {
namespace {

constexpr std::int64_t per_line = 6, shown = 60, shown_of_long = 18;

std::string number(const Tensor& tensor, double value) {
  if (!is_floating(tensor.dtype())) return fmt::format("{:>10}", std::int64_t(value));
  const int digits = tensor.dtype() == DType::float64 ? 9 : 6;
  return fmt::format("{:>{}.{}g}", value, digits + 7, digits);
}

}  // namespace

std::string print_tensors(const std::vector<NamedTensor>& tensors) {
  std::string text;
  for (const auto& [name, tensor] : tensors) {
    text += fmt::format("{}  {} {}\n", name, name_of(tensor.dtype()), tensor.shape().str());
    const std::vector<double> values = tensor.to_vector();
    const std::int64_t count = std::int64_t(values.size());
    // A matrix of few columns keeps its rows.
    const bool rows =
        tensor.rank() >= 1 && tensor.shape().back() >= 1 && tensor.shape().back() <= 2 * per_line;
    const std::int64_t width = rows ? tensor.shape().back() : per_line;
    const std::int64_t end = count <= shown ? count : (shown_of_long + width - 1) / width * width;
    for (std::int64_t i = 0; i < end; ++i) {
      if (i % width == 0) text += ' ';
      text += ' ' + number(tensor, values[std::size_t(i)]);
      if (i % width == width - 1 || i == end - 1) text += '\n';
    }
    if (end < count) text += fmt::format("  ... {} more\n", count - end);
  }
  return text;
}

}  // namespace ek
