#include "apps/check/perf.h"

#include <algorithm>
#include <chrono>

#include "engine/profile/profiler.h"

namespace ek {
namespace {

double now_ms() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(since).count();
}

PerfRow timed(const CheckCase& one, const std::string& part, Device device, double seconds,
              const std::function<void()>& queue) {
  const auto run = [&] {
    queue();
    synchronise(device);
  };
  PerfRow row{one.op, one.name, part};
  run();  // memory, packs and caches come to be
  profiler_start();
  run();
  for (const ProfileEvent& event : profiler_stop()) {
    if (event.depth > 0) continue;
    row.flops += event.flops;
    row.bytes += event.bytes;
  }
  const double end = now_ms() + 1e3 * seconds;
  do {
    const double start = now_ms();
    run();
    const double ms = now_ms() - start;
    row.ms = row.ms == 0 ? ms : std::min(row.ms, ms);
  } while (now_ms() < end);
  return row;
}

Tensors random_like(const Tensors& like, std::uint64_t seed) {
  Tensors drawn;
  for (const Tensor& x : like) {
    drawn.push_back(check_numbers::normal(x.shape(), seed++).to(x.dtype()).to(x.device()));
  }
  return drawn;
}

}  // namespace

double PerfRow::share(const CheckRoof& roof) const {
  return std::max(gb_s() / roof.copy_gb_s, gflop_s() / roof.gflop_s);
}

std::vector<PerfRow> time_case(const CheckCase& one, Device device, CheckType type,
                               double seconds) {
  const TensorFunction& function = one.run_in(type);
  if (!function) return {};
  Tensors all, x;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < one.inputs.size(); ++i) {
    const Tensor& input = one.inputs[i];
    const bool floating = is_floating(input.dtype());
    const bool activation = one.activation.empty() || one.activation[i];
    const DType wanted = activation ? type.dtype : accumulation_dtype(type.dtype);
    all.push_back((floating ? input.to(wanted) : input).to(device));
    if (!floating || (!one.differentiable.empty() && !one.differentiable[i])) continue;
    places.push_back(i);
    x.push_back(all.back());
  }
  const TensorFunction f = [&](const Tensors& in) {
    Tensors arguments = all;
    for (std::size_t k = 0; k < places.size(); ++k) arguments[places[k]] = in[k];
    return function(arguments);
  };
  std::vector<PerfRow> rows{timed(one, "forward", device, seconds / 3, [&] { f(x); })};
  const LinearMap map = linearize_tensors(f, x);
  const Tensors ct = random_like(map.outputs(), 1), v = random_like(x, 2);
  rows.push_back(timed(one, "vjp", device, seconds / 3, [&] { map.vjp(ct); }));
  rows.push_back(timed(one, "jvp", device, seconds / 3, [&] { map.jvp(v); }));
  return rows;
}

std::string perf_head(bool roof) {
  return fmt::format("{:<44} {:<8} {:>10} {:>9} {:>9}{}\n", "", "", "ms", "GB/s", "GFLOP/s",
                     roof ? "  of the roof" : "");
}

std::string perf_line(const PerfRow& row, const std::optional<CheckRoof>& roof) {
  if (row.bytes == 0 && row.flops == 0) {
    return fmt::format("{:<44} {:<8} runs no kernel\n", row.op + " " + row.name, row.part);
  }
  std::string line =
      fmt::format("{:<44} {:<8} {:>10.4f} {:>9.2f} {:>9.2f}", row.op + " " + row.name, row.part,
                  row.ms, row.gb_s(), row.gflop_s());
  if (roof) line += fmt::format("  {:>10.0f} %", 100 * row.share(*roof));
  return line + "\n";
}

}  // namespace ek
