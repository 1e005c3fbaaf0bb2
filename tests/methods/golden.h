#pragma once
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/paths.h"

// A file of tests/golden.
inline nlohmann::json golden(const std::string& name) {
  std::ifstream stream(source_dir() + "/tests/golden/" + name);
  if (!stream) throw std::runtime_error("no golden file " + name);
  return nlohmann::json::parse(stream);
}

// All numbers of nested lists, in order.
inline std::vector<double> numbers(const nlohmann::json& value) {
  if (!value.is_array()) return {value.get<double>()};
  std::vector<double> all;
  for (const auto& part : value) {
    const std::vector<double> inner = numbers(part);
    all.insert(all.end(), inner.begin(), inner.end());
  }
  return all;
}

// Largest |a - b| / max(|b|, floor); infinite for NaN or other sizes. The floor of spec
// methods-reweighting 1 is 1e-6 absolute, in units of the relative tolerance.
inline double worst_error(const std::vector<double>& a, const std::vector<double>& b,
                          double floor) {
  if (a.size() != b.size()) return HUGE_VAL;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a[i] - b[i]) / std::max(std::abs(b[i]), floor);
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  }
  return worst;
}
