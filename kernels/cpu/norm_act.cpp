// Normalise, add a shortcut, ReLU, and the derivatives; kernels/norm.h states the maths. Each is
// one pass over the tensors, at the speed of memory.
#include <cmath>
#include <type_traits>

#include "kernels/cpu/channel_tiles.h"
#include "kernels/cpu/norm_partials.h"
#include "kernels/norm.h"

namespace ek::kernels {
namespace {

using cpu::ChannelTiles;
using cpu::Lanes;
using cpu::Partials;

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
  const ChannelTiles tiles(p.rows, p.channels);
  const auto pass = [&](auto relu, auto has_shortcut) {
    tiles.for_blocks([&](std::int64_t block, const ChannelTiles::Span& span) {
      Lanes<T> mean, scale, beta;
      mean.set(span, [&](std::int64_t c) { return p.mean[c]; });
      scale.set(span, [&](std::int64_t c) { return double(p.gamma[c]) * rsqrt_var(p, c); });
      beta.set(span, [&](std::int64_t c) { return p.beta[c]; });
      tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
#pragma omp simd
        for (std::int64_t l = 0; l < lanes; ++l) {
          T v = (y[at + l] - mean[l]) * scale[l] + beta[l];
          if constexpr (has_shortcut) v += shortcut[at + l];
          if constexpr (relu) v = v < 0 ? T(0) : v;  // a NaN passes
          act[at + l] = v;
        }
      });
    });
  };
  with_flags(pass, p.relu, shortcut != nullptr);
}

template <class B, class T>
void norm_act_vjp(Stream, const NormParams<T>& p, const T* y, const T* act, const T* dact,
                  const NormActCotangents<T>& out, Workspace workspace) {
  const ChannelTiles tiles(p.rows, p.channels);
  const Partials partials = cpu::partials_in("norm_act_vjp", tiles, workspace);
  const auto pass = [&](auto relu, auto has_shortcut) {
    tiles.for_blocks([&](std::int64_t block, const ChannelTiles::Span& span) {
      Lanes<T> mean, r, scale, sums, products;
      mean.set(span, [&](std::int64_t c) { return p.mean[c]; });
      r.set(span, [&](std::int64_t c) { return rsqrt_var(p, c); });
      scale.set(span, [&](std::int64_t c) { return double(p.gamma[c]) * rsqrt_var(p, c); });
      sums.clear(span);
      products.clear(span);
      tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
#pragma omp simd
        for (std::int64_t l = 0; l < lanes; ++l) {
          T g = dact[at + l];
          if constexpr (relu) g = act[at + l] > 0 ? g : T(0);
          const T xhat = (y[at + l] - mean[l]) * r[l];
          sums[l] += g;
          products[l] += g * xhat;
          if constexpr (has_shortcut) out.dshortcut[at + l] = g;
          out.dy[at + l] = scale[l] * g;
        }
      });
      sums.fold(span, partials.first(block) + span.first);
      products.fold(span, partials.second(block) + span.first);
    });
  };
  with_flags(pass, p.relu, out.dshortcut != nullptr);
  cpu::sum_partials(tiles, partials);
  for (std::int64_t c = 0; c < p.channels; ++c) {
    const double dbeta = tiles.blocks > 0 ? partials.first(0)[c] : 0;
    const double dgamma = tiles.blocks > 0 ? partials.second(0)[c] : 0;
    const double r = rsqrt_var(p, c), scale = double(p.gamma[c]) * r;
    if (out.dbeta) out.dbeta[c] = Acc<T>(dbeta);
    if (out.dgamma) out.dgamma[c] = Acc<T>(dgamma);
    if (out.dmean) out.dmean[c] = Acc<T>(-scale * dbeta);
    if (out.dvar) out.dvar[c] = Acc<T>(-0.5 * scale * r * dgamma);
  }
}

// Everything per channel folds into act' = mask (a y' + b + c xhat + shortcut') with
//   a = gamma r     b = beta' - a mean'     c = gamma' - 1/2 a r var'
template <class B, class T>
void norm_act_jvp(Stream, const NormParams<T>& p, const T* y, const T* act,
                  const NormActTangents<T>& tangents, T* act_tangent) {
  const ChannelTiles tiles(p.rows, p.channels);
  const auto or_zero = [](const Acc<T>* values, std::int64_t c) {
    return values ? double(values[c]) : 0.0;
  };
  const auto pass = [&](auto relu, auto has_y, auto has_shortcut) {
    tiles.for_blocks([&](std::int64_t block, const ChannelTiles::Span& span) {
      Lanes<T> mean, a, b, c_xhat;
      mean.set(span, [&](std::int64_t c) { return p.mean[c]; });
      a.set(span, [&](std::int64_t c) { return double(p.gamma[c]) * rsqrt_var(p, c); });
      b.set(span, [&](std::int64_t c) {
        return or_zero(tangents.beta, c) -
               double(p.gamma[c]) * rsqrt_var(p, c) * or_zero(tangents.mean, c);
      });
      c_xhat.set(span, [&](std::int64_t c) {  // times r: it multiplies y - mean
        const double r = rsqrt_var(p, c);
        return (or_zero(tangents.gamma, c) -
                0.5 * double(p.gamma[c]) * r * r * or_zero(tangents.var, c)) *
               r;
      });
      tiles.for_runs(block, span, [&](std::int64_t at, std::int64_t lanes) {
#pragma omp simd
        for (std::int64_t l = 0; l < lanes; ++l) {
          T v = b[l] + c_xhat[l] * (y[at + l] - mean[l]);
          if constexpr (has_y) v += a[l] * tangents.y[at + l];
          if constexpr (has_shortcut) v += tangents.shortcut[at + l];
          if constexpr (relu) v = act[at + l] > 0 ? v : T(0);
          act_tangent[at + l] = v;
        }
      });
    });
  };
  with_flags(pass, p.relu, tangents.y != nullptr, tangents.shortcut != nullptr);
}

template decltype(norm_act_forward<Cpu, float>) norm_act_forward<Cpu, float>;
template decltype(norm_act_forward<Cpu, double>) norm_act_forward<Cpu, double>;
template decltype(norm_act_vjp<Cpu, float>) norm_act_vjp<Cpu, float>;
template decltype(norm_act_vjp<Cpu, double>) norm_act_vjp<Cpu, double>;
template decltype(norm_act_jvp<Cpu, float>) norm_act_jvp<Cpu, float>;
template decltype(norm_act_jvp<Cpu, double>) norm_act_jvp<Cpu, double>;

}  // namespace ek::kernels
