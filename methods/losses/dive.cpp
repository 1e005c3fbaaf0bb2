// DiVE (He et al., Distilling Virtual Examples for Long-tailed Recognition, ICCV 2021): Balanced
// Softmax beside the divergence from a teacher whose outputs are made flat by a temperature and
// a power. docs/losses.md has the formula.
#include "engine/ops.h"
#include "methods/losses/class_weights.h"
#include "methods/losses/loss_entry.h"

namespace ek {
namespace {

// (1 - alpha) mean BSCE(s, y) + alpha tau^2 mean KL(P | softmax(s / tau)), P = softmax(p t / tau).
LossFunction dive(const LossSetup& setup) {
  const double tau = setup.number("tau"), power = setup.number("power");
  const double alpha = setup.number("alpha");
  ops::SoftmaxLossOptions balanced;
  balanced.offset = setup.constant(log_counts(setup.class_counts, false));
  return [=](const LossInputs& in) {
    const Tensor& student = in["student_logits"];
    const Tensor teacher = ops::stop_gradient(ops::affine(in["teacher_logits"], power / tau));
    const Tensor targets = ops::softmax(teacher);
    const Tensor hard = ops::softmax_cross_entropy(student, in["labels"], balanced);
    const Tensor soft =
        ops::softmax_cross_entropy(student, {}, {.scale = 1 / tau, .targets = targets});
    // The divergence is that cross-entropy less the targets' own entropy, a constant.
    const Tensor entropy = ops::softmax_cross_entropy(teacher, {}, {.targets = targets});
    return ops::add(ops::affine(ops::mean(hard), 1 - alpha),
                    ops::affine(ops::mean(ops::sub(soft, entropy)), alpha * tau * tau));
  };
}

}  // namespace

LossEntry dive_entry() {
  return {.name = "dive",
          .doc = "Balanced Softmax and the divergence from a teacher's flattened outputs",
          .kind = LossKind::batch,
          .arguments = {{"student_logits", "[B, C]"},
                        {"teacher_logits", "[B, C]", LossArgument::Kind::constant},
                        {"labels", "[B]", LossArgument::Kind::labels}},
          .keys = {{"loss.tau", 3.0, "temperature of both sides", {}, 1e-3, 1e3},
                   {"loss.power", 0.5, "power of the teacher's probabilities", {}, 1e-3, 1e3},
                   {"loss.alpha", 0.5, "share of the divergence", {}, 0, 1}},
          .absorbed_prior = prior_removed,
          .make = dive};
}

}  // namespace ek
