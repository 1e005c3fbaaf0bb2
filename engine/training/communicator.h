#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "engine/tensor/tensor.h"

namespace ek {

// Data parallelism, the small interface. Tensors are reduced in place.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual void all_reduce_sum(Tensor& tensor) = 0;
  virtual void broadcast(Tensor& tensor, int root) = 0;
  virtual Tensor all_gather(const Tensor& tensor) = 0;  // [size * n, ...]
  virtual void barrier() = 0;
};

// One rank: every collective is the identity.
class SingleRank final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum(Tensor& tensor) override;
  void broadcast(Tensor& tensor, int root) override;
  Tensor all_gather(const Tensor& tensor) override;
  void barrier() override {}
};

// The communicator of this process; SingleRank unless set. set_communicator(nullptr) goes back to
// SingleRank. Set it before threads use it.
Communicator& communicator();
void set_communicator(std::unique_ptr<Communicator> communicator);

}  // namespace ek
