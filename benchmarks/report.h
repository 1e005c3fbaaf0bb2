#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "benchmarks/measure.h"

// What was measured, for people and for programs.
namespace ek::bench {

// The roof; the head of the table; its lines.
std::string text_roof(const Roof& roof, std::size_t footprint_bytes);
std::string text_head();
std::string text_line(const Row& row, const Roof& roof);

// {"device", "threads", "footprint_mib", "cpu_convolutions", "cpu_bf16", "roof": {"copy_gb_s",
// "copy_8mib_gb_s", "float32_gflop_s",
// "tf32_gflop_s" (0: none), "bf16_gflop_s"}, "results": [{"name", "family", "shape",
// "precision", "version", "calls", "median_ms", "best_ms", "gflop", "bytes", "gflop_s", "gb_s",
// "share", "of"}]}. "gflop" and "gflop_s" are null where a kernel has no operations that count;
// "of" is "compute" or "copy".
nlohmann::json to_json(const Results& results, int threads);

// The same results, a line each below a line of names; empty instead of null.
std::string to_csv(const Results& results);

}  // namespace ek::bench
