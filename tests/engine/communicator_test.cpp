#include "engine/training/communicator.h"

#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek;

TEST_CASE("the collectives of one rank are the identity") {
  SingleRank one;
  CHECK(one.rank() == 0);
  CHECK(one.size() == 1);
  Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2});
  const std::uint64_t version = x.storage()->version;
  one.all_reduce_sum(x);
  one.broadcast(x, 0);
  one.barrier();
  CHECK(x.to_vector() == std::vector<double>{1, 2, 3, 4});
  CHECK(x.storage()->version == version);
  const Tensor gathered = one.all_gather(x);
  CHECK(gathered.shape() == Shape{2, 2});
  CHECK(gathered.to_vector() == x.to_vector());
  CHECK(one.all_gather(Tensor::full({}, 5, DType::float64)).shape() == Shape{1});
}

TEST_CASE("one rank refuses another root and undefined tensors") {
  SingleRank one;
  Tensor x = Tensor::zeros({1}, DType::float32), none;
  CHECK(error_of([&] { one.broadcast(x, 1); }) ==
        "broadcast: root 1 is not among the ranks, expected 0");
  CHECK(contains(error_of([&] { one.all_reduce_sum(none); }), "undefined"));
  CHECK(contains(error_of([&] { one.all_gather(none); }), "undefined"));
}

TEST_CASE("the communicator of the process can be set, and goes back to one rank") {
  struct Second final : Communicator {
    int rank() const override { return 1; }
    int size() const override { return 2; }
    void all_reduce_sum(Tensor&) override {}
    void broadcast(Tensor&, int) override {}
    Tensor all_gather(const Tensor& tensor) override { return tensor; }
    void barrier() override {}
  };
  CHECK(communicator().size() == 1);
  set_communicator(std::make_unique<Second>());
  CHECK(communicator().rank() == 1);
  CHECK(communicator().size() == 2);
  set_communicator(nullptr);
  CHECK(communicator().size() == 1);
}
