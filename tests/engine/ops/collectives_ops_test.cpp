#include <cstring>
#include <memory>

#include "engine/ops.h"
#include "engine/training/communicator.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/error_of.h"

using ek::DType;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;
namespace ops = ek::ops;

namespace {

// Rank 1 of two whose partner always holds the same numbers.
class Mirror final : public ek::Communicator {
 public:
  int rank() const override { return 1; }
  int size() const override { return 2; }
  void all_reduce_sum(Tensor& tensor) override {
    double* x = tensor.mutable_data<double>("all_reduce_sum");
    for (std::int64_t i = 0; i < tensor.numel(); ++i) x[i] *= 2;
  }
  void broadcast(Tensor&, int) override {}
  Tensor all_gather(const Tensor& tensor) override {
    std::vector<double> values = tensor.to_vector();
    std::vector<double> twice = values;
    twice.insert(twice.end(), values.begin(), values.end());
    return Tensor::from(twice, {2 * tensor.size(0), tensor.numel() / tensor.size(0)});
  }
  void barrier() override {}
};

// A communicator in force for the length of a scope.
struct Using {
  explicit Using(std::unique_ptr<ek::Communicator> c) { ek::set_communicator(std::move(c)); }
  ~Using() { ek::set_communicator(std::make_unique<ek::SingleRank>()); }
};

}  // namespace

TEST_CASE("collectives of one rank are the identity under a new name") {
  Tensor x = random_tensor({3, 2}, 1);
  for (auto* op : {ops::all_reduce, ops::all_gather}) {
    Tensor y = op(x);
    CHECK(y.to_vector() == x.to_vector());
    CHECK(y.shape() == x.shape());
    CHECK(y.id() != x.id());
    check_gradients("collective",
                    [&](const Tensors& in) { return Tensors{ops::square(op(in[0]))}; }, {x});
  }
}

TEST_CASE("all_reduce of two ranks is its own transpose and leaves its argument alone") {
  Using two(std::make_unique<Mirror>());
  Tensor x = random_tensor({3, 2}, 1);
  std::vector<double> before = x.to_vector();
  CHECK(relative_error(ops::all_reduce(x), ops::affine(x, 2)) == 0);
  CHECK(x.to_vector() == before);
  check_gradients("all_reduce",
                  [](const Tensors& in) { return Tensors{ops::square(ops::all_reduce(in[0]))}; },
                  {x});
}

TEST_CASE("all_gather of two ranks: the cotangent is this rank's rows of the sum over ranks") {
  Using two(std::make_unique<Mirror>());
  Tensor x = random_tensor({1, 2}, 1);
  ek::LinearMap map =
      ek::linearize_tensors([](const Tensors& in) { return Tensors{ops::all_gather(in[0])}; }, {x});
  CHECK(map.outputs()[0].shape() == Shape{2, 2});
  Tensor ct = Tensor::from(std::vector<double>{1, 2, 3, 4}, {2, 2});
  CHECK(map.vjp({ct})[0].to_vector() == std::vector<double>{6, 8});
  Tensor t = Tensor::from(std::vector<double>{5, 7}, {1, 2});
  CHECK(map.jvp({t})[0].to_vector() == std::vector<double>{5, 7, 5, 7});
}

TEST_CASE("collective errors name the op") {
  CHECK(error_of([] { ops::all_reduce(index_tensor({1})); }) ==
        "all_reduce: x is int64 [1], a floating-point dtype is wanted");
  CHECK(error_of([] { ops::all_gather(Tensor::full({}, 1, DType::float32)); }) ==
        "all_gather: x is a scalar, rank 1 or more is wanted");
}
