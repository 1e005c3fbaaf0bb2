// channel_stats_* and norm_act_* on the three image sizes of ResNet-32 .
#include "kernels/norm.h"

#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "kernels/base/error.h"

namespace ek::bench {
namespace {

using namespace kernels;

struct Rows {
  std::int64_t rows, channels;
  std::int64_t size() const { return rows * channels; }
};

template <class B, class T>
Workspace workspace_of(Operands& o, const Rows& r) {
  return o.workspace(norm_workspace_bytes<B, T>(r.rows, r.channels));
}

template <class B, class T>
Call stats_forward(const Rows& r, Operands& o) {
  const Stream q = o.stream();
  const T* y = o.random<T>(r.size());
  float *mean = o.random<float>(r.channels), *var = o.random<float>(r.channels);
  const Workspace workspace = workspace_of<B, T>(o, r);
  return [=] { channel_stats_forward<B, T>(q, r.rows, r.channels, y, mean, var, workspace); };
}

template <class B, class T>
Call stats_vjp(const Rows& r, Operands& o) {
  const Stream q = o.stream();
  const T *y = o.random<T>(r.size()), *dy_in = o.random<T>(r.size());
  const float *mean = o.random<float>(r.channels), *dmean = o.random<float>(r.channels),
              *dvar = o.random<float>(r.channels);
  T* dy = o.random<T>(r.size());
  return [=] { channel_stats_vjp<B, T>(q, r.rows, r.channels, y, mean, dmean, dvar, dy_in, dy); };
}

template <class B, class T>
Call stats_jvp(const Rows& r, Operands& o) {
  const Stream q = o.stream();
  const T *y = o.random<T>(r.size()), *y_tangent = o.random<T>(r.size());
  const float* mean = o.random<float>(r.channels);
  float *mean_tangent = o.random<float>(r.channels), *var_tangent = o.random<float>(r.channels);
  const Workspace workspace = workspace_of<B, T>(o, r);
  return [=] {
    channel_stats_jvp<B, T>(q, r.rows, r.channels, y, mean, y_tangent, mean_tangent, var_tangent,
                            workspace);
  };
}

template <class T>
NormParams<T> norm_params(const Rows& r, Operands& o) {
  const auto channels = [&] { return o.random<float>(r.channels); };
  return {r.rows,     r.channels, 1e-5, true, channels(), o.positive(r.channels),
          channels(), channels()};
}

template <class B, class T, bool with_shortcut>
Call act_forward(const Rows& r, Operands& o) {
  const Stream q = o.stream();
  const NormParams<T> params = norm_params<T>(r, o);
  const T *y = o.random<T>(r.size()), *shortcut = with_shortcut ? o.random<T>(r.size()) : nullptr;
  T* act = o.random<T>(r.size());
  return [=] { norm_act_forward<B, T>(q, params, y, shortcut, act); };
}

template <class B, class T, bool with_shortcut>
Call act_vjp(const Rows& r, Operands& o) {
  const Stream q = o.stream();
  const NormParams<T> params = norm_params<T>(r, o);
  const T *y = o.random<T>(r.size()), *act = o.random<T>(r.size()), *dact = o.random<T>(r.size());
  const auto channels = [&] { return o.random<float>(r.channels); };
  T* dy = o.random<T>(r.size());
  T* dshortcut = with_shortcut ? o.random<T>(r.size()) : nullptr;
  const NormActCotangents<T> out{dy, dshortcut, channels(), channels(), channels(), channels()};
  const Workspace workspace = workspace_of<B, T>(o, r);
  return [=] { norm_act_vjp<B, T>(q, params, y, act, dact, out, workspace); };
}

template <class B, class T, bool with_shortcut>
Call act_jvp(const Rows& r, Operands& o) {
  const Stream q = o.stream();
  const NormParams<T> params = norm_params<T>(r, o);
  const T *y = o.random<T>(r.size()), *act = o.random<T>(r.size());
  const auto channels = [&] { return o.random<float>(r.channels); };
  const T *y_tangent = o.random<T>(r.size()),
          *shortcut_tangent = with_shortcut ? o.random<T>(r.size()) : nullptr;
  const NormActTangents<T> tangents{y_tangent,  shortcut_tangent, channels(),
                                    channels(), channels(),       channels()};
  T* act_tangent = o.random<T>(r.size());
  return [=] { norm_act_jvp<B, T>(q, params, y, act, tangents, act_tangent); };
}

// `images` counts the tensors of the size of y that the kernel reads or writes.
struct Kernel {
  const char* family;
  const char* suffix;
  int images;
  Call (*make)(const Rows&, Operands&);
};

template <class B, class T>
const std::vector<Kernel>& kernels_of() {
  static const std::vector<Kernel> kernels{
      {"channel_stats_forward", "", 1, stats_forward<B, T>},
      {"channel_stats_vjp", "", 3, stats_vjp<B, T>},
      {"channel_stats_jvp", "", 2, stats_jvp<B, T>},
      {"norm_act_forward", "", 2, act_forward<B, T, false>},
      {"norm_act_forward", ",shortcut", 3, act_forward<B, T, true>},
      {"norm_act_vjp", "", 4, act_vjp<B, T, false>},
      {"norm_act_vjp", ",shortcut", 5, act_vjp<B, T, true>},
      {"norm_act_jvp", "", 4, act_jvp<B, T, false>},
      {"norm_act_jvp", ",shortcut", 5, act_jvp<B, T, true>}};
  return kernels;
}

template <class T>
Case case_of(const Kernel& kernel, const Rows& r) {
  Case result{kernel.family, fmt::format("{}x{}{}", r.rows, r.channels, kernel.suffix),
              precision_of<T>()};
  result.bytes = double(kernel.images) * double(r.size()) * sizeof(T);
  result.make = [r, make = kernel.make](Operands& o) { return make(r, o); };
  return result;
}

template <class B>
std::vector<Case> cases_of(std::int64_t batch) {
  std::vector<Case> cases;
  for (std::size_t i = 0; i < kernels_of<B, float>().size(); ++i) {
    for (const Rows& r : {Rows{1024 * batch, 16}, Rows{256 * batch, 32}, Rows{64 * batch, 64}}) {
      cases.push_back(case_of<float>(kernels_of<B, float>()[i], r));
      cases.push_back(case_of<bf16>(kernels_of<B, bf16>()[i], r));
    }
  }
  return cases;
}

}  // namespace

std::vector<Case> norm_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(batch); });
}

}  // namespace ek::bench
