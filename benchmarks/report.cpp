#include "benchmarks/report.h"

#include "kernels/base/error.h"
#include "kernels/base/info.h"

namespace ek::bench {
namespace {

const char* of(const Share& share) {
  return share.of_compute ? "compute" : "copy";
}

nlohmann::json to_json(const Row& row, const Roof& roof) {
  const Case& what = row.what;
  const Share share = share_of(row, roof);
  nlohmann::json result{{"name", what.name()},
                        {"family", what.family},
                        {"shape", what.shape},
                        {"precision", what.precision_name()},
                        {"version", what.version},
                        {"calls", row.calls},
                        {"median_ms", 1e3 * row.median_s},
                        {"best_ms", 1e3 * row.best_s},
                        {"gflop", nullptr},
                        {"bytes", what.bytes},
                        {"gflop_s", nullptr},
                        {"gb_s", row.gb_s()},
                        {"share", share.value},
                        {"of", of(share)}};
  if (what.flop > 0) {
    result["gflop"] = what.flop / 1e9;
    result["gflop_s"] = row.gflop_s();
  }
  return result;
}

}  // namespace

std::string text_roof(const Roof& roof, std::size_t footprint_bytes) {
  if (roof.copy_gb_s == 0) return "  none: times of the host executor say nothing about a GPU\n";
  const std::string large = fmt::format("copy, {} MiB", footprint_bytes >> 20);
  return fmt::format("  {:<18}{:>9.1f} GB/s\n", large, roof.copy_gb_s) +
         fmt::format("  {:<18}{:>9.1f} GB/s\n", "copy, 8 MiB", roof.copy_8mib_gb_s) +
         fmt::format("  {:<18}{:>9.1f} GFLOP/s\n", "product, float32", roof.float32_gflop_s) +
         (roof.tf32_gflop_s > 0
              ? fmt::format("  {:<18}{:>9.1f} GFLOP/s\n", "product, tf32", roof.tf32_gflop_s)
              : "") +
         fmt::format("  {:<18}{:>9.1f} GFLOP/s\n", "product, bf16", roof.bf16_gflop_s);
}

std::string text_head() {
  const std::string head =
      fmt::format("{:<25}{:<23}{:<10}{:<10}{:>10}{:>10}{:>9}{:>8}{:>7}", "kernel", "shape",
                  "precision", "version", "median ms", "best ms", "GFLOP/s", "GB/s", "share");
  return head + "  of\n" + std::string(head.size() + 9, '-') + "\n";
}

std::string text_line(const Row& row, const Roof& roof) {
  const Case& what = row.what;
  const Share share = share_of(row, roof);
  const std::string rate = what.flop > 0 ? fmt::format("{:.1f}", row.gflop_s()) : "-";
  return fmt::format("{:<25}{:<23}{:<10}{:<10}{:>10.4f}{:>10.4f}{:>9}{:>8.1f}{:>7.2f}  {}\n",
                     what.family, what.shape, what.precision_name(), what.version,
                     1e3 * row.median_s, 1e3 * row.best_s, rate, row.gb_s(), share.value,
                     of(share));
}

nlohmann::json to_json(const Results& results, int threads) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : results.rows) rows.push_back(to_json(row, results.roof));
  return {{"device", results.device},
          {"threads", threads},
          {"footprint_mib", results.footprint_bytes >> 20},
          {"cpu_convolutions", kernels::cpu_convolutions()},
          {"cpu_bf16", kernels::cpu_bf16()},
          {"roof",
           {{"copy_gb_s", results.roof.copy_gb_s},
            {"copy_8mib_gb_s", results.roof.copy_8mib_gb_s},
            {"float32_gflop_s", results.roof.float32_gflop_s},
            {"tf32_gflop_s", results.roof.tf32_gflop_s},
            {"bf16_gflop_s", results.roof.bf16_gflop_s}}},
          {"results", rows}};
}

std::string to_csv(const Results& results) {
  std::string text =
      "family,shape,precision,version,calls,median_ms,best_ms,gflop,bytes,gflop_s,gb_s,share,of\n";
  for (const Row& row : results.rows) {
    const Case& what = row.what;
    const Share share = share_of(row, results.roof);
    const auto counted = [&](double value) {
      return what.flop > 0 ? fmt::format("{:.6g}", value) : std::string();
    };
    text += fmt::format("{},\"{}\",{},{},{},{:.6g},{:.6g},{},{:.0f},{},{:.6g},{:.4g},{}\n",
                        what.family, what.shape, what.precision_name(), what.version, row.calls,
                        1e3 * row.median_s, 1e3 * row.best_s, counted(what.flop / 1e9), what.bytes,
                        counted(row.gflop_s()), row.gb_s(), share.value, of(share));
  }
  return text;
}

}  // namespace ek::bench
