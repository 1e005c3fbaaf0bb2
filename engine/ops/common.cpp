#include "engine/ops/common.h"

#include "engine/graph/capture.h"

namespace ek::ops {
namespace {

std::string describe(const Tensor& x) {
  return fmt::format("{} {} on {}", name_of(x.dtype()), x.shape().str(), x.device().str());
}

}  // namespace

void require_floating(std::string_view op, const Tensor& x, std::string_view what) {
  require(x.defined(), "{}: {} is undefined", op, what);
  require(is_floating(x.dtype()), "{}: {} is {} {}, a floating-point dtype is wanted", op, what,
          name_of(x.dtype()), x.shape().str());
}

void require_same(std::string_view op, const Tensor& a, const Tensor& b) {
  require(a.defined() && b.defined(), "{}: the {} argument is undefined", op,
          a.defined() ? "second" : "first");
  const bool same = a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device();
  if (!same) fail("{}: {} does not match {}", op, describe(b), describe(a));
}

void require_rank(std::string_view op, const Tensor& x, int rank, std::string_view what) {
  require(x.defined(), "{}: {} is undefined", op, what);
  require(x.rank() == rank, "{}: {} has shape {}, rank {} is wanted", op, what, x.shape().str(),
          rank);
}

void require_device(std::string_view op, const Tensor& x, const Tensor& other,
                    std::string_view what) {
  require(other.device() == x.device(), "{}: {} {} is on {}, it belongs beside {} on {}", op, what,
          other.shape().str(), other.device().str(), x.shape().str(), x.device().str());
}

void require_index(std::string_view op, const Tensor& x, const Tensor& index, std::int64_t n,
                   std::int64_t bound) {
  require(index.defined(), "{}: index is undefined", op);
  require(index.dtype() == DType::int64 && index.shape() == Shape{n},
          "{}: index is {} {}, int64 [{}] is wanted", op, name_of(index.dtype()),
          index.shape().str(), n);
  require_device(op, x, index, "index");
  if (Capture::on(index.device())) return;  // nobody can look; see docs/graphs.md
  const Tensor host = index.to(Device{});
  const std::span<const std::int64_t> values = host.span<std::int64_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    require(values[i] >= 0 && values[i] < bound, "{}: index[{}] = {} is not in [0, {})", op, i,
            values[i], bound);
  }
}

}  // namespace ek::ops
