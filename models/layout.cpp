#include "models/layout.h"

namespace ek {
namespace {

// Transposes the last two axes of [outer, rows, columns], whose elements are `Unit` wide.
template <class Unit>
void transpose(std::int64_t outer, std::int64_t rows, std::int64_t columns, const void* from,
               void* to) {
  const Unit* in = static_cast<const Unit*>(from);
  Unit* out = static_cast<Unit*>(to);
  for (std::int64_t o = 0; o < outer; ++o) {
    const std::int64_t base = o * rows * columns;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < columns; ++c) {
        out[base + c * rows + r] = in[base + r * columns + c];
      }
    }
  }
}

Tensor permuted(std::string_view who, const Tensor& x, bool to_last) {
  require(x.defined() && x.rank() == 4, "{}: expected a rank-4 tensor, got {}", who,
          x.defined() ? x.shape().str() : "nothing");
  require(x.device().kind == Device::Kind::cpu, "{}: {} is on {}, layouts change on the cpu", who,
          x.shape().str(), x.device().str());
  const Shape& s = x.shape();
  const Shape shape = to_last ? Shape{s[0], s[2], s[3], s[1]} : Shape{s[0], s[3], s[1], s[2]};
  const std::int64_t rows = to_last ? s[1] : s[1] * s[2], columns = to_last ? s[2] * s[3] : s[3];
  Tensor out = Tensor::empty(shape, x.dtype(), x.device());
  switch (size_of(x.dtype())) {
    case 1:
      transpose<std::uint8_t>(s[0], rows, columns, x.raw(), out.output_raw());
      break;
    case 2:
      transpose<std::uint16_t>(s[0], rows, columns, x.raw(), out.output_raw());
      break;
    case 4:
      transpose<std::uint32_t>(s[0], rows, columns, x.raw(), out.output_raw());
      break;
    default:
      transpose<std::uint64_t>(s[0], rows, columns, x.raw(), out.output_raw());
      break;
  }
  return out;
}

template <class Convert>
Params converted(const Params& params, Convert&& convert) {
  std::vector<Params::Entry> entries = params.entries();
  for (Params::Entry& entry : entries) {
    if (entry.tensor.rank() == 4) entry.tensor = convert(entry.tensor);
  }
  return Params(std::move(entries)).flattened();
}

}  // namespace

Tensor channels_last(const Tensor& x) {
  return permuted("channels_last", x, true);
}
Tensor channels_first(const Tensor& x) {
  return permuted("channels_first", x, false);
}

Params to_file_layout(const Params& params) {
  return converted(params, channels_first);
}
Params from_file_layout(const Params& params) {
  return converted(params, channels_last);
}

}  // namespace ek
