#include "benchmarks/report.h"

#include "kernels/error.h"
#include "kernels/info.h"

namespace ek::bench {
namespace {

const char* of(const Row& row) {
  return row.compute_bound ? "compute" : "copy";
}

nlohmann::json to_json(const Row& row) {
  const Case& what = row.what;
  nlohmann::json result{{"name", what.name()},
                        {"family", what.family},
                        {"shape", what.shape},
                        {"precision", name_of(what.precision)},
                        {"version", what.version},
                        {"calls", row.calls},
                        {"median_ms", 1e3 * row.median_s},
                        {"best_ms", 1e3 * row.best_s},
                        {"gflop", nullptr},
                        {"bytes", what.bytes},
                        {"gflop_s", nullptr},
                        {"gb_s", row.gb_s},
                        {"share", row.share},
                        {"of", of(row)}};
  if (what.flop > 0) {
    result["gflop"] = what.flop / 1e9;
    result["gflop_s"] = row.gflop_s;
  }
  return result;
}

}  // namespace

std::string text_head(const Roof& roof, std::size_t footprint_bytes, int threads) {
  const std::string large = fmt::format("copy, {} MiB", footprint_bytes >> 20);
  std::string text = fmt::format("roof, measured with {} threads\n", threads);
  text += fmt::format("  {:<18}{:>9.1f} GB/s\n", large, roof.copy_gb_s);
  text += fmt::format("  {:<18}{:>9.1f} GB/s\n", "copy, 8 MiB", roof.copy_8mib_gb_s);
  text += fmt::format("  {:<18}{:>9.1f} GFLOP/s\n", "product, float32", roof.float32_gflop_s);
  text += fmt::format("  {:<18}{:>9.1f} GFLOP/s\n\n", "product, bf16", roof.bf16_gflop_s);
  const std::string head =
      fmt::format("{:<25}{:<23}{:<10}{:<9}{:>10}{:>10}{:>9}{:>8}{:>7}", "kernel", "shape",
                  "precision", "version", "median ms", "best ms", "GFLOP/s", "GB/s", "share");
  return text + head + "  of\n" + std::string(head.size() + 9, '-') + "\n";
}

std::string text_line(const Row& row) {
  const Case& what = row.what;
  const std::string rate = what.flop > 0 ? fmt::format("{:.1f}", row.gflop_s) : "-";
  return fmt::format("{:<25}{:<23}{:<10}{:<9}{:>10.4f}{:>10.4f}{:>9}{:>8.1f}{:>7.2f}  {}\n",
                     what.family, what.shape, name_of(what.precision), what.version,
                     1e3 * row.median_s, 1e3 * row.best_s, rate, row.gb_s, row.share, of(row));
}

nlohmann::json to_json(const Roof& roof, std::size_t footprint_bytes, int threads,
                       const std::vector<Row>& rows) {
  nlohmann::json results = nlohmann::json::array();
  for (const Row& row : rows) results.push_back(to_json(row));
  return {{"threads", threads},
          {"footprint_mib", footprint_bytes >> 20},
          {"cpu_convolutions", kernels::cpu_convolutions()},
          {"cpu_bf16", kernels::cpu_bf16()},
          {"roof",
           {{"copy_gb_s", roof.copy_gb_s},
            {"copy_8mib_gb_s", roof.copy_8mib_gb_s},
            {"float32_gflop_s", roof.float32_gflop_s},
            {"bf16_gflop_s", roof.bf16_gflop_s}}},
          {"results", results}};
}

std::string to_csv(const std::vector<Row>& rows) {
  std::string text =
      "family,shape,precision,version,calls,median_ms,best_ms,gflop,bytes,gflop_s,gb_s,share,of\n";
  for (const Row& row : rows) {
    const Case& what = row.what;
    const auto counted = [&](double value) {
      return what.flop > 0 ? fmt::format("{:.6g}", value) : std::string();
    };
    text += fmt::format("{},\"{}\",{},{},{},{:.6g},{:.6g},{},{:.0f},{},{:.6g},{:.4g},{}\n",
                        what.family, what.shape, name_of(what.precision), what.version, row.calls,
                        1e3 * row.median_s, 1e3 * row.best_s, counted(what.flop / 1e9), what.bytes,
                        counted(row.gflop_s), row.gb_s, row.share, of(row));
  }
  return text;
}

}  // namespace ek::bench
