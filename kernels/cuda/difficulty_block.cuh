#pragma once
// Difficulty-Net by one block, in float32: the fused kernels of difficulty.cu.
#include "kernels/cuda/base/add_rows.cuh"
#include "kernels/difficulty.h"
#include "kernels/math/adam.h"
#include "kernels/math/difficulty.h"

namespace ek::kernels::EK_TARGET {

using NetTeam = Team<1024>;
constexpr int kMostWidth = 1024;  // of classes, and of hidden units

// The shape with what follows from it, which the host computes once.
struct NetOffsets : DifficultyShape {
  std::int64_t weight_of[3], bias_of[3];  // by layer, from 0
  explicit NetOffsets(const DifficultyShape& s) : DifficultyShape(s) {
    for (int layer = 0; layer < 3; ++layer) {
      weight_of[layer] = s.weight(layer + 1);
      bias_of[layer] = s.biases(layer + 1);
    }
  }
};

using Row = SharedArray<float, kMostWidth>;

// activate(o, V x + c of output o), from one thread each: a warp an output, so that the lanes read
// neighbours of V. x lies in shared memory.
template <class Activate>
__device__ void layer_by_warps(const float* weight, const float* bias, int outputs, int inputs,
                               const float* x, const Activate& activate) {
  const int lane = NetTeam::rank() % 32;
  for (int o = NetTeam::rank() / 32; o < outputs; o += NetTeam::threads / 32) {
    const float* row = weight + std::int64_t(o) * inputs;
    float sum = 0;
    for (int i = lane; i < inputs; i += 32) sum = std::fma(row[i], x[i], sum);
    sum = warp_reduce<Sum>(sum);
    if (lane == 0) activate(o, bias ? sum + bias[o] : sum);
  }
  NetTeam::sync();
}

struct ForwardBlock {
  Row accuracy, h1, h2, difficulty;
};

__global__ void __launch_bounds__(NetTeam::block_threads)
    forward_block(NetOffsets s, const float* parameters, const float* accuracy,
                  DifficultyState<float> state) {
  ForwardBlock& block = shared_memory<ForwardBlock>();
  const int classes = int(s.classes), hidden = int(s.hidden), t = NetTeam::rank();
  if (t < classes) block.accuracy[t] = accuracy[t];
  NetTeam::sync();
  const auto layer = [&](int number, int outputs, int inputs, const Row& x, const auto& activate) {
    layer_by_warps(parameters + s.weight_of[number],
                   s.bias ? parameters + s.bias_of[number] : nullptr, outputs, inputs, &x[0],
                   activate);
  };
  layer(0, hidden, classes, block.accuracy,
        [&](int o, float z) { block.h1[o] = state.h1[o] = z < 0 ? 0.0f : z; });
  layer(1, hidden, hidden, block.h1,
        [&](int o, float z) { block.h2[o] = state.h2[o] = z < 0 ? 0.0f : z; });
  layer(2, classes, hidden, block.h2, [&](int o, float z) {
    block.difficulty[o] = state.difficulty[o] = math::difficulty_sigmoid(z);
  });
  const float mine = t < classes ? block.difficulty[t] : 0.0f;
  const float sum = NetTeam::reduce<Sum>(mine);
  if (t < classes) state.class_weight[t] = float(classes) * (mine / sum);
}

// Where a gradient goes: to memory, or into Adam's update of its parameter.
struct Gradient {
  float* gradient;
  __device__ const Gradient& loaded() const { return *this; }
  __device__ void operator()(std::int64_t at, float g) const { gradient[at] = g; }
};
struct AdamLoadedUpdate {
  math::Adam<float> adam;
  float rate, decay;
  float *parameters, *first_moment, *second_moment;
  __device__ void operator()(std::int64_t at, float g) const {
    adam(rate, decay, g, parameters[at], first_moment[at], second_moment[at]);
  }
};
struct AdamUpdate {
  AdamSettings settings;
  float decay;
  float *parameters, *first_moment, *second_moment;
  // What a thread uses, for which it has read what lies in memory.
  __device__ AdamLoadedUpdate loaded() const {
    return {math::adam_of<float>(settings),
            float(settings.lr.value()),
            decay,
            parameters,
            first_moment,
            second_moment};
  }
};

struct BackwardBlock {
  Row accuracy, h1, h2;
  Row d1, d2, d3;  // derivatives by the layers' outputs before their activations
  Row sums;        // of add_rows
};

// All derivatives by activations first, which is the last time that parameters are read; then the
// gradient of each parameter by itself.
template <class Take>
__global__ void __launch_bounds__(NetTeam::block_threads)
    backward_block(NetOffsets s, DifficultyObjective<float> objective, const float* parameters,
                   const float* accuracy, DifficultyState<float> state, float* driver_loss,
                   Take given) {
  BackwardBlock& block = shared_memory<BackwardBlock>();
  const int classes = int(s.classes), hidden = int(s.hidden), t = NetTeam::rank();
  const bool of_class = t < classes;
  const float a = of_class ? accuracy[t] : 0.0f, d = of_class ? state.difficulty[t] : 0.0f;
  const float g = of_class && objective.weight_gradient ? objective.weight_gradient[t] : 0.0f;
  if (t < hidden) {
    block.h1[t] = state.h1[t];
    block.h2[t] = state.h2[t];
  }
  const math::DifficultySums<float> sums{NetTeam::reduce<Sum>(d), NetTeam::reduce<Sum>(g * d),
                                         NetTeam::reduce<Sum>(a)};
  const float miss = of_class ? math::difficulty_miss(objective.target, sums, d, a) : 0.0f;
  if (of_class) {
    block.accuracy[t] = a;
    block.d3[t] = math::difficulty_delta(s.classes, float(objective.lambda), sums, g, d, miss);
  }
  const float squares = NetTeam::reduce<Sum>(miss * miss);
  if (driver_loss && t == 0) *driver_loss = squares / float(classes);
  NetTeam::sync();

  // dx = V^T dy where x > 0, else 0
  const auto input_delta = [&](int number, int outputs, const Row& dy, const Row& x, Row& dx) {
    const float* weight = parameters + s.weight_of[number];
    add_rows<NetTeam, 1>(
        outputs, hidden, &block.sums[0],
        [&](std::int64_t o, int i, Pack<float, 1>& sum) {
          sum.values[0] = std::fma(dy[int(o)], weight[o * hidden + i], sum.values[0]);
        },
        [&](int i, float total) { dx[i] = x[i] > 0 ? total : 0.0f; });
  };
  input_delta(2, classes, block.d3, block.h2, block.d2);
  input_delta(1, hidden, block.d2, block.h1, block.d1);

  const auto& take = given.loaded();
  const auto layer = [&](int number, int outputs, int inputs, const Row& dy, const Row& x) {
    for (int e = t; e < outputs * inputs; e += NetTeam::threads) {
      take(s.weight_of[number] + e, dy[e / inputs] * x[e % inputs]);
    }
    for (int o = t; s.bias && o < outputs; o += NetTeam::threads) {
      take(s.bias_of[number] + o, dy[o]);
    }
  };
  layer(2, classes, hidden, block.d3, block.h2);
  layer(1, hidden, hidden, block.d2, block.h1);
  layer(0, hidden, classes, block.d1, block.accuracy);
}

}  // namespace ek::kernels::EK_TARGET
