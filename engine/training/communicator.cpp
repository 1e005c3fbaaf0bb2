#include "engine/training/communicator.h"

#include <utility>

namespace ek {
namespace {

std::unique_ptr<Communicator>& instance() {
  static std::unique_ptr<Communicator> communicator = std::make_unique<SingleRank>();
  return communicator;
}

}  // namespace

void SingleRank::all_reduce_sum(Tensor& tensor) {
  require(tensor.defined(), "all_reduce_sum: the tensor is undefined");
}

void SingleRank::broadcast(Tensor& tensor, int root) {
  require(tensor.defined(), "broadcast: the tensor is undefined");
  require(root == 0, "broadcast: root {} is not among the ranks, expected 0", root);
}

Tensor SingleRank::all_gather(const Tensor& tensor) {
  require(tensor.defined(), "all_gather: the tensor is undefined");
  return tensor.rank() == 0 ? tensor.view({1}) : tensor;
}

Communicator& communicator() {
  return *instance();
}

void set_communicator(std::unique_ptr<Communicator> communicator) {
  instance() = communicator ? std::move(communicator) : std::make_unique<SingleRank>();
}

}  // namespace ek
