// Gathers by an int64 index, and their transposes.
#include <array>

#include "engine/ops/common.h"
#include "kernels/reduce.h"

namespace ek::ops {
namespace {

class Take final : public Op {
 public:
  Take(const Tensor& index, std::int64_t rows) : index_(index), rows_(rows) {}
  std::string_view name() const override { return "take"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {segment_sum(ct[0], index_.get(), rows_)};
  }
  Tensors jvp(const Tensors& t) const override { return {take(t[0], index_.get())}; }

 private:
  Saved index_;
  std::int64_t rows_;
};

class SegmentSum final : public Op {
 public:
  SegmentSum(const Tensor& index, std::int64_t segments) : index_(index), segments_(segments) {}
  std::string_view name() const override { return "segment_sum"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {take(ct[0], index_.get())};
  }
  Tensors jvp(const Tensors& t) const override {
    return {segment_sum(t[0], index_.get(), segments_)};
  }

 private:
  Saved index_;
  std::int64_t segments_;
};

class Pick final : public Op {
 public:
  Pick(const Tensor& index, std::int64_t columns) : index_(index), columns_(columns) {}
  std::string_view name() const override { return "pick"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {place(ct[0], index_.get(), columns_)};
  }
  Tensors jvp(const Tensors& t) const override { return {pick(t[0], index_.get())}; }

 private:
  Saved index_;
  std::int64_t columns_;
};

class Place final : public Op {
 public:
  Place(const Tensor& index, std::int64_t columns) : index_(index), columns_(columns) {}
  std::string_view name() const override { return "place"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {pick(ct[0], index_.get())};
  }
  Tensors jvp(const Tensors& t) const override { return {place(t[0], index_.get(), columns_)}; }

 private:
  Saved index_;
  std::int64_t columns_;
};

// x's shape with another first extent.
Shape with_rows(const Shape& shape, std::int64_t rows) {
  std::array<std::int64_t, Shape::max_rank> extents{};
  std::ranges::copy(shape.extents(), extents.begin());
  extents[0] = rows;
  return Shape(std::span<const std::int64_t>(extents.data(), std::size_t(shape.rank())));
}

std::int64_t row_width(const Shape& shape) {
  std::int64_t width = 1;
  for (int d = 1; d < shape.rank(); ++d) width *= shape[d];
  return width;
}

void require_rows(std::string_view op, const Tensor& x) {
  require_floating(op, x, "x");
  require(x.rank() >= 1, "{}: x is a scalar, rank 1 or more is wanted", op);
}

}  // namespace

Tensor take(const Tensor& x, const Tensor& index) {
  require_rows("take", x);
  const std::int64_t count = index.defined() ? index.numel() : 0;
  require_index("take", x, index, count, x.size(0));
  Tensor y = empty_like(x, with_rows(x.shape(), count));
  {
    ProfileScope scope(
        "take", [&] { return fmt::format("{} of {}", count, x.shape().str()); }, 0,
        2.0 * double(y.bytes()) + double(index.bytes()));
    dispatch_floating("take", x, [&]<class B, class T>() {
      kernels::take_rows<B, T>(current_stream(), count, row_width(x.shape()), x.data<T>(),
                               index.data<std::int64_t>(), y.output<T>());
    });
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<Take>(index, x.size(0)); });
  return y;
}

Tensor segment_sum(const Tensor& x, const Tensor& index, std::int64_t segments) {
  require_rows("segment_sum", x);
  require(segments >= 0, "segment_sum: {} segments", segments);
  require_index("segment_sum", x, index, x.size(0), segments);
  Tensor y = empty_like(x, with_rows(x.shape(), segments));
  {
    ProfileScope scope(
        "segment_sum", [&] { return fmt::format("{} into {}", x.shape().str(), segments); },
        double(x.numel()), double(x.bytes() + y.bytes() + index.bytes()));
    dispatch_floating("segment_sum", x, [&]<class B, class T>() {
      kernels::segment_sum<B, T>(current_stream(), x.size(0), row_width(x.shape()), segments,
                                 x.data<T>(), index.data<std::int64_t>(), y.output<T>());
    });
  }
  record(std::array{x}, std::array{y},
         [&] { return std::make_unique<SegmentSum>(index, segments); });
  return y;
}

Tensor pick(const Tensor& x, const Tensor& index) {
  require_floating("pick", x, "x");
  require_rank("pick", x, 2, "x");
  require_index("pick", x, index, x.size(0), x.size(1));
  Tensor y = empty_like(x, {x.size(0)});
  {
    ProfileScope scope(
        "pick", [&] { return x.shape().str(); }, 0,
        2.0 * double(y.bytes()) + double(index.bytes()));
    dispatch_floating("pick", x, [&]<class B, class T>() {
      kernels::pick<B, T>(current_stream(), x.size(0), x.size(1), x.data<T>(),
                          index.data<std::int64_t>(), y.output<T>());
    });
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<Pick>(index, x.size(1)); });
  return y;
}

Tensor place(const Tensor& x, const Tensor& index, std::int64_t columns) {
  require_floating("place", x, "x");
  require_rank("place", x, 1, "x");
  require_index("place", x, index, x.size(0), columns);
  Tensor y = empty_like(x, {x.size(0), columns});
  {
    ProfileScope scope(
        "place", [&] { return y.shape().str(); }, 0, double(x.bytes() + y.bytes() + index.bytes()));
    dispatch_floating("place", x, [&]<class B, class T>() {
      kernels::place<B, T>(current_stream(), x.size(0), columns, x.data<T>(),
                           index.data<std::int64_t>(), y.output<T>());
    });
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<Place>(index, columns); });
  return y;
}

}  // namespace ek::ops
