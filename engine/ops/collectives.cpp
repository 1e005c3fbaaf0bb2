// Collectives over the ranks of the current communicator, as linear ops. Every rank has to apply
// the same ones in the same order, derivatives included.
#include <array>
#include <numeric>

#include "engine/ops/common.h"
#include "engine/training/communicator.h"

namespace ek::ops {
namespace {

class AllReduce final : public Op {
 public:
  std::string_view name() const override { return "all_reduce"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {all_reduce(ct[0])}; }
  Tensors jvp(const Tensors& t) const override { return {all_reduce(t[0])}; }
};

// Every rank's output holds this rank's rows, so the cotangent is their sum over the ranks.
class AllGather final : public Op {
 public:
  explicit AllGather(std::int64_t rows) : rows_(rows) {}
  std::string_view name() const override { return "all_gather"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    std::vector<std::int64_t> mine(static_cast<std::size_t>(rows_));
    std::iota(mine.begin(), mine.end(), rows_ * communicator().rank());
    return {take(all_reduce(ct[0]), Tensor::from(mine, {rows_}).to(ct[0].device()))};
  }
  Tensors jvp(const Tensors& t) const override { return {all_gather(t[0])}; }

 private:
  std::int64_t rows_;
};

}  // namespace

Tensor all_reduce(const Tensor& x) {
  require_floating("all_reduce", x, "x");
  Tensor y = x.clone();
  {
    ProfileScope scope(
        "all_reduce", [&] { return x.shape().str(); }, 0, double(x.bytes()));
    communicator().all_reduce_sum(y);
  }
  record(std::array{x}, std::array{y}, [] { return std::make_unique<AllReduce>(); });
  return y;
}

Tensor all_gather(const Tensor& x) {
  require_floating("all_gather", x, "x");
  require(x.rank() >= 1, "all_gather: x is a scalar, rank 1 or more is wanted");
  Tensor y;
  {
    ProfileScope scope(
        "all_gather", [&] { return x.shape().str(); }, 0,
        double(x.bytes()) * communicator().size());
    y = communicator().all_gather(x);
    y = y.view(y.shape());  // one rank may hand back x itself: a new identity
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<AllGather>(x.size(0)); });
  return y;
}

}  // namespace ek::ops
