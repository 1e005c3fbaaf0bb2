#include "engine/training/optim.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/graph/capture.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"
#include "engine/training/weight_packs.h"

namespace ek {
namespace {

// Overwrites `parameters`: by step_and_pack.operator()<T>(values, jobs) together with the packs of
// the convolution weights among them, where there are any, else by step(values).
template <class B, class T, class Step, class StepAndPack>
void overwrite(const char* who, Tensor& parameters, const Step& step,
               const StepAndPack& step_and_pack) {
  const std::uint64_t version = parameters.storage()->version;
  T* values = parameters.mutable_data<T>(who);
  if constexpr (fuses_launches<B> && std::is_same_v<T, float>) {
    PackSet packs = PackSet::taken_from(parameters, version);
    if (!packs.empty()) {
      auto with_jobs = [&]<class Image>(std::span<const kernels::PackJob> jobs) {
        step_and_pack.template operator()<Image>(values, jobs);
      };
      packs.run<B>(with_jobs, values);
      return std::move(packs).attach_to(parameters);
    }
  }
  step(values);
}

}  // namespace

Params flat_gradient(const Params& gradient) {
  return gradient.is_flat() ? gradient : gradient.flattened(MemoryUse::gradients);
}

void Optimizer::step(Params& params, const Params& gradient, const Number& lr,
                     std::span<const kernels::OptimSegment> segments, const Tensor& steps_before) {
  require_same_structure(params, gradient, name());
  require(!lr.is_plain() || std::isfinite(lr.value()),
          "{}: learning rate {}, expected a finite number", name(), lr.is_plain() ? lr.value() : 0);
  Tensor flat = params.flat();
  const Tensor& flat_gradient = gradient.flat();
  require(flat_gradient.dtype() == flat.dtype(), "{}: gradient of {}, expected {}", name(),
          ek::name_of(flat_gradient.dtype()), ek::name_of(flat.dtype()));
  require(flat_gradient.device() == flat.device(), "{}: gradient on {}, parameters on {}", name(),
          flat_gradient.device().str(), flat.device().str());
  for (const kernels::OptimSegment& segment : segments) {
    require(0 <= segment.begin && segment.begin <= segment.end && segment.end <= flat.numel(),
            "{}: segment {} to {} is not within the {} parameters", name(), segment.begin,
            segment.end, flat.numel());
  }

  Now now{lr.on(flat.device(), name()), *steps_ + 1, *steps_ == 0};
  if (steps_before) {
    require(steps_before.dtype() == DType::int64 && steps_before.numel() == 1 &&
                steps_before.device() == flat.device(),
            "{}: steps_before is {} {} on {}, one int64 beside the parameters is wanted", name(),
            ek::name_of(steps_before.dtype()), steps_before.shape().str(),
            steps_before.device().str());
    now.number = {1, steps_before.data<std::int64_t>()};
  }
  Capture* capture = Capture::on(flat.device());
  if (capture) {
    require(!now.first, "graph: the first step of {}, which makes its state, during capture",
            name());
    require(steps_before || !counts_steps(),
            "graph: a step of {} without steps_before in the device's memory during capture",
            name());
  }

  // Buffers come to be before the parameters change, so that no Error leaves a half step.
  std::vector<Tensor> buffers = buffers_;
  if (buffers.empty()) {
    MemoryScope scope(MemoryUse::optimizer);
    for (std::size_t i = 0; i < buffer_names_.size(); ++i) {
      buffers.push_back(Tensor::zeros(flat.shape(), flat.dtype(), flat.device()));
    }
  }
  for (const Tensor& buffer : buffers) {
    require(buffer.shape() == flat.shape() && buffer.dtype() == flat.dtype(),
            "{}: its state is {} {}, expected {} {} as the parameters", name(),
            ek::name_of(buffer.dtype()), buffer.shape().str(), ek::name_of(flat.dtype()),
            flat.shape().str());
    require(buffer.device() == flat.device(), "{}: its state is on {}, the parameters on {}",
            name(), buffer.device().str(), flat.device().str());
  }
  {
    const PhaseScope phase(Phase::optimizer);
    const double tensors = 3 + 2 * double(buffers.size());  // gradient; the rest read and written
    ProfileScope scope(
        name(), [&] { return flat.shape().str(); }, 0, tensors * double(flat.bytes()));
    apply(flat, flat_gradient, buffers, now, segments);
  }
  buffers_ = std::move(buffers);
  if (capture) {
    capture->at_replay([steps = steps_] { ++*steps; });
  } else {
    ++*steps_;
  }
}

NamedTensors Optimizer::state() const {
  NamedTensors state;
  state.emplace_back("step", Tensor::from(std::vector<std::int64_t>{*steps_}, {1}));
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    state.emplace_back(buffer_names_[i], buffers_[i]);
  }
  return state;
}

void Optimizer::load_state(const NamedTensors& state, const Params& params) {
  std::optional<std::int64_t> steps;
  std::vector<Tensor> buffers(buffer_names_.size());
  for (const auto& [key, tensor] : state) {
    if (key == "step") {
      require(tensor.dtype() == DType::int64 && tensor.numel() == 1,
              "{}: its state has {} {} as step, expected one int64", name(),
              ek::name_of(tensor.dtype()), tensor.shape().str());
      steps = tensor.to(Device{}).span<std::int64_t>()[0];
      continue;
    }
    const auto known = std::ranges::find(buffer_names_, key);
    require(known != buffer_names_.end(), "{}: its state has '{}', expected step{}{}", name(), key,
            buffer_names_.empty() ? "" : ", ", fmt::join(buffer_names_, ", "));
    require(tensor.shape() == Shape{params.numel()} && tensor.dtype() == params.dtype(),
            "{}: '{}' of its state is {} {}, expected {} [{}] as the parameters", name(), key,
            ek::name_of(tensor.dtype()), tensor.shape().str(), ek::name_of(params.dtype()),
            params.numel());
    MemoryScope scope(MemoryUse::optimizer);
    // A copy of its own, where the parameters are.
    const Device device = params.empty() ? Device{} : params.entries()[0].tensor.device();
    buffers[std::size_t(known - buffer_names_.begin())] =
        tensor.device() == device ? tensor.clone() : tensor.to(device);
  }
  require(steps.has_value() && *steps >= 0, "{}: its state has {} as step, expected 0 or more",
          name(), steps ? std::to_string(*steps) : "nothing");
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    require(buffers[i].defined() == (*steps > 0), "{}: its state at step {} has {}'{}'", name(),
            *steps, *steps > 0 ? "no " : "a ", buffer_names_[i]);
  }
  if (*steps == 0) buffers.clear();
  buffers_ = std::move(buffers);
  *steps_ = *steps;
}

Sgd::Sgd(const Settings& settings)
    : Optimizer(settings.momentum == 0 ? std::vector<std::string>{}
                                       : std::vector<std::string>{"momentum_buffer"}),
      settings_(settings) {
  require(settings.momentum >= 0 && settings.momentum < 1,
          "sgd: momentum {}, expected 0 or more and below 1", settings.momentum);
  require(!settings.nesterov || settings.momentum > 0,
          "sgd: nesterov with momentum 0, expected a momentum above 0");
}

void Sgd::apply(Tensor& parameters, const Tensor& gradient, std::span<Tensor> buffers,
                const Now& now, std::span<const kernels::OptimSegment> segments) {
  dispatch_floating("sgd", parameters, [&]<class B, class T>() {
    T* momentum = buffers.empty() ? nullptr : buffers[0].mutable_data<T>("sgd");
    const kernels::SgdSettings settings{now.lr, settings_.momentum, settings_.nesterov, now.first};
    auto step = [&](T* values) {
      kernels::sgd_step<B, T>(current_stream(), settings, segments, gradient.data<T>(), values,
                              momentum);
    };
    auto step_and_pack = [&]<class Image>(float* values, std::span<const kernels::PackJob> jobs) {
      if constexpr (std::is_same_v<T, float>) {
        kernels::sgd_step_and_pack<B, Image>(current_stream(), settings, segments, jobs,
                                             gradient.data<T>(), values, momentum);
      }
    };
    overwrite<B, T>("sgd", parameters, step, step_and_pack);
  });
}

Adam::Adam(const Settings& settings) : Optimizer({"exp_avg", "exp_avg_sq"}), settings_(settings) {
  for (double beta : {settings.beta1, settings.beta2}) {
    require(beta >= 0 && beta < 1, "adam: beta {}, expected 0 or more and below 1", beta);
  }
  require(settings.eps > 0, "adam: eps {}, expected above 0", settings.eps);
}

void Adam::apply(Tensor& parameters, const Tensor& gradient, std::span<Tensor> buffers,
                 const Now& now, std::span<const kernels::OptimSegment> segments) {
  dispatch_floating("adam", parameters, [&]<class B, class T>() {
    T* first = buffers[0].mutable_data<T>("adam");
    T* second = buffers[1].mutable_data<T>("adam");
    const kernels::AdamSettings settings{now.lr, settings_.beta1, settings_.beta2, settings_.eps,
                                         now.number};
    auto step = [&](T* values) {
      kernels::adam_step<B, T>(current_stream(), settings, segments, gradient.data<T>(), values,
                               first, second);
    };
    auto step_and_pack = [&]<class Image>(float* values, std::span<const kernels::PackJob> jobs) {
      if constexpr (std::is_same_v<T, float>) {
        kernels::adam_step_and_pack<B, Image>(current_stream(), settings, segments, jobs,
                                              gradient.data<T>(), values, first, second);
      }
    };
    overwrite<B, T>("adam", parameters, step, step_and_pack);
  });
}

}  // namespace ek
