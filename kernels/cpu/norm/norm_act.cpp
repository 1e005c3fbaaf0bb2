// Normalise, add a shortcut, ReLU, and the derivatives; kernels/norm.h states the maths. Each is
// one pass over the tensors, at the speed of memory.
#include <cmath>
#include <type_traits>

#include "kernels/cpu/channel_tiles.h"
#include "kernels/cpu/norm/norm_slices.h"

namespace ek::kernels {
namespace {

using cpu::ChannelTiles;
using cpu::Lanes;
using cpu::Partials;
using cpu::Patch;

// Turns run-time flags into types, so that no inner loop tests them: calls body(bool_constant...).
template <class Body>
void with_flags(const Body& body) {
  body();
}
template <class Body, class... Rest>
void with_flags(const Body& body, bool flag, Rest... rest) {
  if (flag) {
    with_flags([&](auto... known) { body(std::true_type(), known...); }, rest...);
  } else {
    with_flags([&](auto... known) { body(std::false_type(), known...); }, rest...);
  }
}

template <class T>
double rsqrt_var(const NormParams<T>& p, std::int64_t channel) {
  return 1 / std::sqrt(double(p.var[channel]) + p.eps);
}

}  // namespace

// (y - mean) is formed first: folding mean into the shift would cancel when |mean| >> std.
template <class B, class T>
void norm_act_forward(Stream, const NormParams<T>& p, const T* y, const T* shortcut, T* act) {
  const ChannelTiles<T> tiles(p.rows, p.channels);
  const auto pass = [&](auto relu, auto has_shortcut) {
    tiles.for_patches_in_parallel([&](const Patch& patch) {
      Lanes<T> mean, scale, beta;
      mean.set(patch, [&](std::int64_t c) { return p.mean[c]; });
      scale.set(patch, [&](std::int64_t c) { return double(p.gamma[c]) * rsqrt_var(p, c); });
      beta.set(patch, [&](std::int64_t c) { return p.beta[c]; });
      tiles.for_elements(
          patch, [&, y, shortcut, act](std::int64_t i, std::int64_t lane, auto simd) {
            auto v = (simd.load(y + i) - simd.load(mean + lane)) * simd.load(scale + lane) +
                     simd.load(beta + lane);
            if constexpr (has_shortcut) v += simd.load(shortcut + i);
            if constexpr (relu) v = v < 0 ? decltype(v){} : v;  // a NaN passes
            simd.store(v, act + i);
          });
    });
  };
  with_flags(pass, p.relu, shortcut != nullptr);
}

template <class T>
void cpu::slice_act_vjp(const NormParams<T>& p, const T* y, const T* act, const T* dact,
                        const T* dact_more, T* dy, T* dshortcut, double* sums, double* products) {
  const ChannelTiles<T> tiles(p.rows, p.channels);
  std::fill_n(sums, p.channels, 0.0);
  std::fill_n(products, p.channels, 0.0);
  const auto pass = [&](auto relu, auto has_more, auto has_shortcut) {
    tiles.for_patches_in_order([&](const Patch& patch) {
      Lanes<T> mean, scale, lane_sums, lane_products;
      mean.set(patch, [&](std::int64_t c) { return p.mean[c]; });
      scale.set(patch, [&](std::int64_t c) { return double(p.gamma[c]) * rsqrt_var(p, c); });
      lane_sums.clear(patch);
      lane_products.clear(patch);
      tiles.for_elements(patch, [&, y, act, dact, dact_more, dy, dshortcut](
                                    std::int64_t i, std::int64_t lane, auto simd) {
        auto g = simd.load(dact + i);
        if constexpr (has_more) g += simd.load(dact_more + i);
        if constexpr (relu) g = simd.load(act + i) > 0 ? g : decltype(g){};
        simd.add(g, lane_sums + lane);
        simd.add(g * (simd.load(y + i) - simd.load(mean + lane)), lane_products + lane);
        if constexpr (has_shortcut) simd.store(g, dshortcut + i);
        simd.store(simd.load(scale + lane) * g, dy + i);
      });
      lane_sums.fold(patch, sums + patch.first);
      lane_products.fold(patch, products + patch.first);
    });
  };
  with_flags(pass, p.relu, dact_more != nullptr, dshortcut != nullptr);
}

template <class T>
void cpu::finish_act_vjp(const NormParams<T>& p, const double* sums, const double* products,
                         const NormActCotangents<T>& out) {
  for (std::int64_t c = 0; c < p.channels; ++c) {
    const double r = rsqrt_var(p, c), scale = double(p.gamma[c]) * r;
    const double dbeta = sums[c], dgamma = r * products[c];
    if (out.dbeta) out.dbeta[c] = Acc<T>(dbeta);
    if (out.dgamma) out.dgamma[c] = Acc<T>(dgamma);
    if (out.dmean) out.dmean[c] = Acc<T>(-scale * dbeta);
    if (out.dvar) out.dvar[c] = Acc<T>(-0.5 * scale * r * dgamma);
  }
}

template <class B, class T>
void norm_act_vjp(Stream, const NormParams<T>& p, const T* y, const T* act, const T* dact,
                  const NormActCotangents<T>& out, Workspace workspace) {
  const ChannelTiles<T> tiles(p.rows, p.channels);
  const Partials partials = cpu::partials_in("norm_act_vjp", tiles.blocks, p.channels, workspace);
  cpu::parallel_for(partials.parts, [&](std::int64_t block) {
    NormParams<T> part = p;
    part.rows = tiles.rows_in(block);
    const std::int64_t at = tiles.begin_of(block) * p.channels;
    cpu::slice_act_vjp<T>(part, y + at, act + at, dact + at, nullptr, out.dy + at,
                          out.dshortcut ? out.dshortcut + at : nullptr, partials.first(block),
                          partials.second(block));
  });
  cpu::sum_partials(partials);
  cpu::finish_act_vjp(p, partials.first(0), partials.second(0), out);
}

// Everything per channel folds into act' = mask (a y' + b + c (y - mean) + shortcut') with
//   a = gamma r     b = beta' - a mean'     c = (gamma' - 1/2 a r var') r
template <class B, class T>
void norm_act_jvp(Stream, const NormParams<T>& p, const T* y, const T* act,
                  const NormActTangents<T>& tangents, T* act_tangent) {
  const ChannelTiles<T> tiles(p.rows, p.channels);
  const auto or_zero = [](const Acc<T>* values, std::int64_t c) {
    return values ? double(values[c]) : 0.0;
  };
  const auto pass = [&](auto relu, auto has_y, auto has_shortcut) {
    tiles.for_patches_in_parallel([&](const Patch& patch) {
      Lanes<T> mean, a, b, c_y;
      Lanes<double> r;  // once: a square root and a division cost more than all the rest here
      r.set(patch, [&](std::int64_t c) { return rsqrt_var(p, c); });
      const auto scale = [&](std::int64_t c) {
        return double(p.gamma[c]) * r.value[c - patch.first];
      };
      mean.set(patch, [&](std::int64_t c) { return p.mean[c]; });
      a.set(patch, scale);
      b.set(patch, [&](std::int64_t c) {
        return or_zero(tangents.beta, c) - scale(c) * or_zero(tangents.mean, c);
      });
      c_y.set(patch, [&](std::int64_t c) {
        const double r_c = r.value[c - patch.first];
        return (or_zero(tangents.gamma, c) - 0.5 * scale(c) * r_c * or_zero(tangents.var, c)) * r_c;
      });
      tiles.for_elements(patch, [&, y, act, y_tangent = tangents.y, shortcut = tangents.shortcut,
                                 act_tangent](std::int64_t i, std::int64_t lane, auto simd) {
        auto v = simd.load(b + lane) +
                 simd.load(c_y + lane) * (simd.load(y + i) - simd.load(mean + lane));
        if constexpr (has_y) v += simd.load(a + lane) * simd.load(y_tangent + i);
        if constexpr (has_shortcut) v += simd.load(shortcut + i);
        if constexpr (relu) v = simd.load(act + i) > 0 ? v : decltype(v){};
        simd.store(v, act_tangent + i);
      });
    });
  };
  with_flags(pass, p.relu, tangents.y != nullptr, tangents.shortcut != nullptr);
}

template decltype(cpu::slice_act_vjp<float>) cpu::slice_act_vjp<float>;
template decltype(cpu::slice_act_vjp<double>) cpu::slice_act_vjp<double>;
template decltype(cpu::slice_act_vjp<bf16>) cpu::slice_act_vjp<bf16>;
template decltype(cpu::finish_act_vjp<float>) cpu::finish_act_vjp<float>;
template decltype(cpu::finish_act_vjp<double>) cpu::finish_act_vjp<double>;
template decltype(cpu::finish_act_vjp<bf16>) cpu::finish_act_vjp<bf16>;
template decltype(norm_act_forward<Cpu, float>) norm_act_forward<Cpu, float>;
template decltype(norm_act_forward<Cpu, double>) norm_act_forward<Cpu, double>;
template decltype(norm_act_forward<Cpu, bf16>) norm_act_forward<Cpu, bf16>;
template decltype(norm_act_vjp<Cpu, float>) norm_act_vjp<Cpu, float>;
template decltype(norm_act_vjp<Cpu, double>) norm_act_vjp<Cpu, double>;
template decltype(norm_act_vjp<Cpu, bf16>) norm_act_vjp<Cpu, bf16>;
template decltype(norm_act_jvp<Cpu, float>) norm_act_jvp<Cpu, float>;
template decltype(norm_act_jvp<Cpu, double>) norm_act_jvp<Cpu, double>;
template decltype(norm_act_jvp<Cpu, bf16>) norm_act_jvp<Cpu, bf16>;

}  // namespace ek::kernels
