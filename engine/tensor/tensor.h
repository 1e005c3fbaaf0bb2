#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/memory/allocator.h"
#include "engine/tensor/device.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/shape.h"
#include "engine/training/companions.h"

namespace ek {

// A block of memory that tensors view. `version` counts the writes in place, `holds` the tapes that
// have saved a view of it for a derivative.
struct Storage {
  std::shared_ptr<void> memory;
  std::size_t bytes = 0;
  Device device;
  std::uint64_t version = 0;
  std::atomic<int> holds{0};
  bool overwritten = false;  // by a graph that shares the memory (GraphMemory)
  Companions companions;     // of the contents of one version
};

// A dense row-major array: a handle that is cheap to copy, whose contents are treated as a value.
// Ops never write to their arguments. Whoever does write in place (optimisers, loaders) goes
// through mutable_data, which refuses while a tape still holds the old contents.
class Tensor {
 public:
  Tensor() = default;

  static Tensor empty(const Shape& shape, DType dtype, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype, Device device = {});
  static Tensor full(const Shape& shape, double value, DType dtype, Device device = {});
  // Copies `values` (as many as the shape holds), to the CPU.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return impl_->shape; }
  std::int64_t size(int axis) const { return impl_->shape[axis]; }
  int rank() const { return impl_->shape.rank(); }
  std::int64_t numel() const { return impl_->numel; }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->storage->device; }
  std::size_t bytes() const { return std::size_t(numel()) * size_of(dtype()); }

  // Identity of the value: copies of the handle share it, and tapes know tensors by it.
  std::uint64_t id() const { return impl_->id; }

  // Contents, where the device keeps them: for its kernels. Throws Error when T is not the dtype.
  template <class T>
  const T* data() const {
    check_dtype(dtype_of<T>);
    return static_cast<const T*>(raw());
  }
  // Contents for the host to read; Error on any device but the CPU, whose copy to(Device{}) is.
  template <class T>
  std::span<const T> span() const {
    check_host();
    return {data<T>(), std::size_t(numel())};
  }
  const void* raw() const;

  // For filling a tensor that nobody else has seen yet (kernel outputs).
  template <class T>
  T* output() {
    check_dtype(dtype_of<T>);
    return static_cast<T*>(output_raw());
  }
  void* output_raw();

  // For writing in place: counts as a new version; Error naming `who` while a tape holds a view.
  template <class T>
  T* mutable_data(const char* who) {
    check_dtype(dtype_of<T>);
    return static_cast<T*>(mutable_raw(who));
  }
  void* mutable_raw(const char* who);

  // Nobody else can see the memory: no other handle, view or saved value. Then a value that is
  // about to be dropped may be overwritten.
  bool unique() const {
    return impl_.use_count() == 1 && impl_->storage.use_count() == 1 && impl_->storage->holds == 0;
  }

  // Another tensor over the same memory (a new identity): same number of elements; `slice` is
  // `shape` elements from `begin` on of the flattened tensor. Not recorded on tapes (ops.h has
  // the recorded reshape).
  Tensor view(const Shape& shape) const;
  Tensor slice(std::int64_t begin, const Shape& shape) const;
  // The same bytes as elements of another type of the same size.
  Tensor bits_as(DType dtype) const;

  // The only element of a one-element tensor, as a double.
  double item() const;
  std::vector<double> to_vector() const;
  Tensor clone() const;
  // Converted copy (itself if nothing changes), not recorded; ops::cast is the recorded one.
  Tensor to(DType dtype) const;
  // Copied to another device (itself on the same), not recorded; ops::to_device is the recorded
  // one.
  Tensor to(Device device) const;

  const std::shared_ptr<Storage>& storage() const { return impl_->storage; }
  // First element of this view, counted from the beginning of the storage.
  std::int64_t offset() const { return impl_->offset; }

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    std::int64_t offset = 0;  // elements
    Shape shape;
    std::int64_t numel = 0;
    DType dtype = DType::float32;
    std::uint64_t id = 0;
  };
  static Tensor make(std::shared_ptr<Storage> storage, std::int64_t offset, const Shape& shape,
                     DType dtype);
  void check_dtype(DType wanted) const;
  void check_host() const;

  std::shared_ptr<Impl> impl_;
};

using Tensors = std::vector<Tensor>;

// A view that a tape keeps for a derivative. get() throws Error if the memory was written since.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  Saved(const Saved& other);
  Saved(Saved&& other) noexcept;
  Saved& operator=(Saved other) noexcept;
  ~Saved();
  const Tensor& get() const;
  bool defined() const { return tensor_.defined(); }

 private:
  Tensor tensor_;
  std::uint64_t version_ = 0;
};

}  // namespace ek
