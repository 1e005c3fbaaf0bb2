#include "engine/tensor/tensor.h"

#include <bit>
#include <cstring>

#include "engine/graph/capture.h"
#include "engine/tensor/dispatch.h"
#include "kernels/elementwise.h"

namespace ek {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> counter{1};
  return counter.fetch_add(1, std::memory_order_relaxed);
}

// Calls f with a value of the C++ type that holds dtype.
template <class F>
decltype(auto) with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32:
      return f(float{});
    case DType::float64:
      return f(double{});
    case DType::bfloat16:
      return f(bf16{});
    case DType::int64:
      return f(std::int64_t{});
    case DType::uint8:
      return f(std::uint8_t{});
  }
  fail("tensor: unknown dtype");
}

std::string asked_of(const Tensor& x, std::string_view what) {
  return fmt::format("{} of {} {}", what, name_of(x.dtype()), x.shape().str());
}

double as_double(bf16 value) {
  return double(std::bit_cast<float>(std::uint32_t(value.bits) << 16));
}
template <class T>
double as_double(T value) {
  return double(value);
}

}  // namespace

Tensor Tensor::make(std::shared_ptr<Storage> storage, std::int64_t offset, const Shape& shape,
                    DType dtype) {
  Tensor tensor;
  tensor.impl_ = std::make_shared<Impl>();
  *tensor.impl_ = {std::move(storage), offset, shape, shape.numel(), dtype, next_id()};
  return tensor;
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  auto storage = std::make_shared<Storage>();
  storage->bytes = std::size_t(shape.numel()) * size_of(dtype);
  storage->memory = allocate(device, storage->bytes);
  storage->device = device;
  if (Capture* capture = Capture::on(device)) capture->written(storage);
  return make(std::move(storage), 0, shape, dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor tensor = empty(shape, dtype, device);
  zero_memory(device, tensor.output_raw(), tensor.bytes());
  return tensor;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  if (!is_floating(dtype) && !device.in_host_memory()) {
    return full(shape, value, dtype).to(device);  // no kernel writes integers
  }
  if (!is_floating(dtype)) {
    refuse_in_capture(device,
                      [&] { return fmt::format("full() of {} {}", name_of(dtype), shape.str()); });
  }
  Tensor tensor = empty(shape, dtype, device);
  if (dtype == DType::int64) {
    std::fill_n(tensor.output<std::int64_t>(), tensor.numel(), std::int64_t(value));
  } else if (dtype == DType::uint8) {
    std::fill_n(tensor.output<std::uint8_t>(), tensor.numel(), std::uint8_t(value));
  } else {
    dispatch_activation("full", tensor, [&]<class B, class T>() {
      kernels::fill<B, T>(current_stream(), tensor.numel(), value, tensor.output<T>());
    });
  }
  return tensor;
}

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  require(std::int64_t(values.size()) == shape.numel(), "tensor: {} values for shape {}",
          values.size(), shape.str());
  Tensor tensor = empty(shape, dtype_of<T>);
  if (!values.empty()) std::memcpy(tensor.output_raw(), values.data(), values.size_bytes());
  return tensor;
}
template Tensor Tensor::from<float>(std::span<const float>, const Shape&);
template Tensor Tensor::from<double>(std::span<const double>, const Shape&);
template Tensor Tensor::from<bf16>(std::span<const bf16>, const Shape&);
template Tensor Tensor::from<std::int64_t>(std::span<const std::int64_t>, const Shape&);
template Tensor Tensor::from<std::uint8_t>(std::span<const std::uint8_t>, const Shape&);

void Tensor::check_dtype(DType wanted) const {
  require(defined(), "tensor: undefined, {} wanted", name_of(wanted));
  require(dtype() == wanted, "tensor {}: dtype is {}, {} wanted", shape().str(), name_of(dtype()),
          name_of(wanted));
}

void Tensor::check_host() const {
  require(device() == Device{}, "tensor {} {}: it is on {}, the host reads a copy on the cpu alone",
          name_of(dtype()), shape().str(), device().str());
}

const void* Tensor::raw() const {
  if (impl_->storage->overwritten) {
    fail("{}: a graph that shares the memory was replayed after the one that wrote it",
         asked_of(*this, "contents"));
  }
  return static_cast<const std::byte*>(impl_->storage->memory.get()) +
         impl_->offset * std::int64_t(size_of(dtype()));
}

void* Tensor::output_raw() {
  return const_cast<void*>(std::as_const(*this).raw());
}

void* Tensor::mutable_raw(const char* who) {
  Storage& storage = *impl_->storage;
  const int holds = storage.holds.load();
  require(holds == 0,
          "{}: a tensor of shape {} cannot be written in place, a tape holds {} saved views of its "
          "old contents",
          who, shape().str(), holds);
  ++storage.version;
  if (Capture* capture = Capture::on(storage.device)) capture->written(impl_->storage);
  return output_raw();
}

Tensor Tensor::view(const Shape& shape) const {
  require(shape.numel() == numel(), "view: {} cannot be seen as {}", this->shape().str(),
          shape.str());
  return make(impl_->storage, impl_->offset, shape, dtype());
}

Tensor Tensor::slice(std::int64_t begin, const Shape& shape) const {
  require(begin >= 0 && begin + shape.numel() <= numel(),
          "slice: {} elements from {} on are not in a tensor of shape {}", shape.numel(), begin,
          this->shape().str());
  return make(impl_->storage, impl_->offset + begin, shape, dtype());
}

Tensor Tensor::bits_as(DType wanted) const {
  require(size_of(wanted) == size_of(dtype()), "bits_as: {} of {} bytes cannot be seen as {} of {}",
          name_of(dtype()), size_of(dtype()), name_of(wanted), size_of(wanted));
  return make(impl_->storage, impl_->offset, shape(), wanted);
}

double Tensor::item() const {
  require(numel() == 1, "item: shape {} does not hold one element", shape().str());
  refuse_in_capture(device(), [&] { return asked_of(*this, "item()"); });
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  refuse_in_capture(device(), [&] { return asked_of(*this, "to_vector()"); });
  if (device() != Device{}) return to(Device{}).to_vector();
  std::vector<double> values(static_cast<std::size_t>(numel()));
  with_type(dtype(), [&](auto zero) {
    auto source = span<decltype(zero)>();
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = as_double(source[i]);
  });
  return values;
}

Tensor Tensor::clone() const {
  Tensor copy = empty(shape(), dtype(), device());
  copy_memory(device(), copy.output_raw(), device(), raw(), bytes());
  return copy;
}

Tensor Tensor::to(DType wanted) const {
  if (wanted == dtype()) return *this;
  require(is_floating(wanted) && is_floating(dtype()), "to: {} cannot become {}, shape {}",
          name_of(dtype()), name_of(wanted), shape().str());
  Tensor result = empty(shape(), wanted, device());
  with_type(dtype(), [&](auto from) {
    with_type(wanted, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      if constexpr (!std::is_integral_v<From> && !std::is_integral_v<To>) {
        dispatch_device("to", device(), [&]<class B>() {
          kernels::convert<B, From, To>(current_stream(), numel(), data<From>(),
                                        result.output<To>());
        });
      }
    });
  });
  return result;
}

Tensor Tensor::to(Device wanted) const {
  if (wanted == device()) return *this;
  const auto text = [&] { return asked_of(*this, "to(" + wanted.str() + ")"); };
  refuse_in_capture(device(), text);
  refuse_in_capture(wanted, text);
  Tensor copy = empty(shape(), dtype(), wanted);  // refuses a device that is not here
  copy_memory(wanted, copy.output_raw(), device(), raw(), bytes());
  return copy;
}

Saved::Saved(const Tensor& tensor) : tensor_(tensor) {
  if (!tensor_.defined()) return;
  version_ = tensor_.storage()->version;
  ++tensor_.storage()->holds;
}

Saved::Saved(const Saved& other) : tensor_(other.tensor_), version_(other.version_) {
  if (tensor_.defined()) ++tensor_.storage()->holds;
}

Saved::Saved(Saved&& other) noexcept : tensor_(std::move(other.tensor_)), version_(other.version_) {
  other.tensor_ = {};
}

Saved& Saved::operator=(Saved other) noexcept {
  std::swap(tensor_, other.tensor_);
  std::swap(version_, other.version_);
  return *this;
}

Saved::~Saved() {
  if (tensor_.defined()) --tensor_.storage()->holds;
}

const Tensor& Saved::get() const {
  if (tensor_.defined()) {
    require(tensor_.storage()->version == version_,
            "tape: a saved tensor of shape {} was written in place since (version {}, saved at {})",
            tensor_.shape().str(), tensor_.storage()->version, version_);
  }
  return tensor_;
}

}  // namespace ek
