// The fused classification loss (kernels/softmax.h, docs/losses.md). One kernel pass
// gives the losses and their unweighted gradient, which is all that both first-order rules need.
#include <array>
#include <cmath>

#include "engine/graph/capture.h"
#include "engine/ops/common.h"
#include "kernels/softmax.h"

namespace ek::ops {
namespace {

constexpr std::string_view kName = "softmax_cross_entropy";

// 0 where the mask has a class in the partition, -inf where it leaves it out.
Tensor mask_penalty(const Tensor& mask, const Tensor& like) {
  const Tensor host = mask.to(Device{});
  std::vector<double> penalty;
  for (const std::uint8_t kept : host.span<std::uint8_t>()) {
    penalty.push_back(kept ? 0.0 : -INFINITY);
  }
  return Tensor::from(penalty, like.shape()).to(like.dtype()).to(like.device());
}

class SoftmaxCrossEntropy final : public Op {
 public:
  SoftmaxCrossEntropy(const Tensor& logits, const Tensor& labels, const SoftmaxLossOptions& options,
                      const Tensor& dlogits)
      : logits_(logits),
        labels_(labels),
        offset_(options.offset),
        margin_(options.margin),
        mask_(options.mask),
        targets_(options.targets),
        scale_(options.scale),
        label_smoothing_(options.label_smoothing),
        dlogits_(dlogits) {}
  std::string_view name() const override { return kName; }
  bool fused() const override { return true; }

  Tensors vjp(const Tensors& ct, const Needs&) const override {
    Tensor out = empty_like(dlogits_);
    ProfileScope scope(
        "softmax_cross_entropy.vjp", [&] { return out.shape().str(); }, double(out.numel()),
        2.0 * double(out.bytes()));
    dispatch_floating(kName, out, [&]<class B, class T>() {
      kernels::softmax_loss_vjp<B, T>(current_stream(), out.size(0), out.size(1),
                                      dlogits_.data<T>(), ct[0].data<T>(), out.output<T>());
    });
    return {out};
  }

  Tensors jvp(const Tensors& t) const override {
    Tensor out = empty_like(dlogits_, {dlogits_.size(0)});
    ProfileScope scope(
        "softmax_cross_entropy.jvp", [&] { return dlogits_.shape().str(); },
        2.0 * double(dlogits_.numel()), 2.0 * double(dlogits_.bytes()));
    dispatch_floating(kName, out, [&]<class B, class T>() {
      kernels::softmax_loss_jvp<B, T>(current_stream(), dlogits_.size(0), dlogits_.size(1),
                                      dlogits_.data<T>(), t[0].data<T>(), out.output<T>());
    });
    return {out};
  }

  Tensors inputs() const override { return {logits_.get()}; }

  // l = logsumexp over the mask of u - sum_k q_k u_k
  Tensors compose(const Tensors& inputs) const override {
    Tensor u = adjusted(inputs[0]);
    Tensor partition = mask_.defined() ? add(u, mask_penalty(mask_.get(), u)) : u;
    return {sub(logsumexp(partition), expectation(u))};
  }

 private:
  // u_ik = scale (z_ik - margin[y_i] [k = y_i]) + offset[k]
  Tensor adjusted(const Tensor& z) const {
    Tensor u = affine(z, scale_);
    if (margin_.defined()) {
      Tensor margins = place(take(margin_.get(), labels_.get()), labels_.get(), z.size(1));
      u = sub(u, affine(margins, scale_));
    }
    if (offset_.defined()) {
      u = add(u, broadcast_to(reshape(offset_.get(), {1, z.size(1)}), z.shape()));
    }
    return u;
  }

  // sum_k q_ik u_ik. A class with q = 0 does not count, even where u is infinite.
  Tensor expectation(const Tensor& u) const {
    const std::int64_t rows = u.size(0), classes = u.size(1);
    if (targets_.defined()) {
      const Tensor& q = targets_.get();
      return reshape(sum_to(mul(q, gate(u, square(q))), {rows, 1}), {rows});
    }
    Tensor of_label = pick(u, labels_.get());
    if (label_smoothing_ == 0) return of_label;
    Tensor of_all = reshape(sum_to(u, {rows, 1}), {rows});
    return add(affine(of_label, 1 - label_smoothing_),
               affine(of_all, label_smoothing_ / double(classes)));
  }

  Saved logits_, labels_, offset_, margin_, mask_, targets_;
  double scale_, label_smoothing_;
  Tensor dlogits_;
};

void check_option(std::string_view what, const Tensor& option, const Tensor& logits,
                  const Shape& shape, DType dtype) {
  if (!option) return;
  require_device(kName, logits, option, what);
  require(option.shape() == shape && option.dtype() == dtype, "{}: {} is {} {}, {} {} is wanted",
          kName, what, name_of(option.dtype()), option.shape().str(), name_of(dtype), shape.str());
  require(!recording(std::array{option}),
          "{}: {} is tracked by a tape, but it is a constant of this op; stop its gradient, or "
          "compose the loss of plain ops",
          kName, what);
}

void check_targets(const Tensor& targets) {
  // Weights come from interpolation and division; an error of the caller is far beyond this.
  constexpr double tolerance = 1e-3;
  const std::vector<double> q = targets.to_vector();
  const std::int64_t classes = targets.size(1);
  for (std::int64_t i = 0; i < targets.size(0); ++i) {
    double sum = 0;
    for (std::int64_t k = 0; k < classes; ++k) sum += q[std::size_t(i * classes + k)];
    require(std::abs(sum - 1) <= tolerance, "{}: targets of row {} sum to {}, not 1", kName, i,
            sum);
  }
}

void check(const Tensor& logits, const Tensor& labels, const SoftmaxLossOptions& options) {
  require_floating(kName, logits, "logits");
  require(logits.dtype() != DType::bfloat16,
          "{}: dtype bfloat16 is not supported (float32 and float64 are), shape {}", kName,
          logits.shape().str());
  require_rank(kName, logits, 2, "logits");
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  require(labels.defined() || options.targets.defined(), "{}: neither labels nor targets came",
          kName);
  if (labels) {
    require(labels.dtype() == DType::int64 && labels.shape() == Shape{rows},
            "{}: labels are {} {}, int64 [{}] is wanted", kName, name_of(labels.dtype()),
            labels.shape().str(), rows);
    require_device(kName, logits, labels, "labels");
    // During a capture nobody can look at values; see docs/graphs.md.
    const Tensor host =
        Capture::on(labels.device()) ? Tensor::empty({0}, DType::int64) : labels.to(Device{});
    const std::span<const std::int64_t> values = host.span<std::int64_t>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      require(values[i] >= 0 && values[i] < classes, "{}: labels[{}] = {} is not in [0, {})", kName,
              i, values[i], classes);
    }
  }
  require(!options.margin || labels.defined(), "{}: margin needs labels", kName);
  require(!options.targets || options.label_smoothing == 0,
          "{}: label_smoothing {} came with targets, which already are the whole target", kName,
          options.label_smoothing);
  require(options.label_smoothing >= 0 && options.label_smoothing <= 1,
          "{}: label_smoothing is {}, expected 0 to 1", kName, options.label_smoothing);
  check_option("offset", options.offset, logits, {classes}, logits.dtype());
  check_option("margin", options.margin, logits, {classes}, logits.dtype());
  check_option("mask", options.mask, logits, {rows, classes}, DType::uint8);
  check_option("targets", options.targets, logits, {rows, classes}, logits.dtype());
  // As for labels.
  if (options.targets && !Capture::on(logits.device())) check_targets(options.targets);
}

template <class T>
const T* pointer(const Tensor& x) {
  return x ? x.data<T>() : nullptr;
}

}  // namespace

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels,
                             const SoftmaxLossOptions& options) {
  check(logits, labels, options);
  Tensor losses = empty_like(logits, {logits.size(0)}), dlogits;
  if (recording(std::array{logits})) dlogits = empty_like(logits);
  {
    ProfileScope scope(
        kName, [&] { return logits.shape().str(); }, 6.0 * double(logits.numel()),
        double(logits.bytes()) * (dlogits ? 2 : 1) + double(losses.bytes()));
    dispatch_floating(kName, logits, [&]<class B, class T>() {
      kernels::SoftmaxLoss<T> loss{.rows = logits.size(0), .classes = logits.size(1)};
      loss.scale = options.scale;
      loss.label_smoothing = options.label_smoothing;
      loss.labels = pointer<std::int64_t>(labels);
      loss.targets = pointer<T>(options.targets);
      loss.offset = pointer<T>(options.offset);
      loss.margin = pointer<T>(options.margin);
      loss.mask = pointer<std::uint8_t>(options.mask);
      kernels::SoftmaxLossOutputs<T> out;
      out.losses = losses.output<T>();
      if (dlogits) out.dlogits = dlogits.output<T>();
      kernels::softmax_loss<B, T>(current_stream(), loss, logits.data<T>(), out);
    });
  }
  record(std::array{logits}, std::array{losses},
         [&] { return std::make_unique<SoftmaxCrossEntropy>(logits, labels, options, dlogits); });
  return losses;
}

}  // namespace ek::ops
