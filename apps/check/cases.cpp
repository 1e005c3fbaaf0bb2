// Cases of the ops that work element by element, row by row or on nothing but shapes.
#include <algorithm>
#include <regex>

#include "apps/check/case.h"
#include "engine/ops.h"

namespace ek {
namespace {

using namespace check_numbers;
using UnaryFunction = Tensor (*)(const Tensor&);
using BinaryFunction = Tensor (*)(const Tensor&, const Tensor&);

const std::vector<Shape> awkward{{}, {1}, {7, 3}, {2, 3, 5, 3}};
const std::vector<Shape> one_large{{64, 32, 32, 16}};

TensorFunction over(UnaryFunction f) {
  return [f](const Tensors& in) { return Tensors{f(in[0])}; };
}
TensorFunction over(BinaryFunction f) {
  return [f](const Tensors& in) { return Tensors{f(in[0], in[1])}; };
}

void add_identity(std::vector<CheckCase>& cases) {
  cases.push_back({"reshape", "[3, 5] to [5, 1, 3]", {normal({3, 5}, 1)}, [](const Tensors& in) {
                     return Tensors{ops::reshape(in[0], {5, 1, 3})};
                   }});
  cases.push_back({"alias", "[3, 5]", {normal({3, 5}, 2)}, over(ops::alias)});
  CheckCase stop{"stop_gradient", "[3, 5]", {normal({3, 5}, 3)}, over(ops::stop_gradient)};
  stop.stops_gradient = true;
  cases.push_back(stop);
  for (const Shape& shape : {Shape{1}, Shape{7, 3}}) {
    cases.push_back(
        {"cast", shape.str() + " to float64", {normal(shape, 4)}, [](const Tensors& in) {
           return Tensors{ops::cast(in[0], DType::float64)};
         }});
  }
}

void add_elementwise(std::vector<CheckCase>& cases, const std::vector<Shape>& shapes) {
  const auto unary = [&](const char* op, auto&& numbers, const TensorFunction& f) {
    for (const Shape& shape : shapes) cases.push_back({op, shape.str(), {numbers(shape, 5)}, f});
  };
  const auto binary = [&](const char* op, BinaryFunction f, auto&& second) {
    for (const Shape& shape : shapes) {
      cases.push_back({op, shape.str(), {normal(shape, 6), second(shape, 7)}, over(f)});
    }
  };
  const auto any = [](const Shape& shape, std::uint64_t seed) { return normal(shape, seed); };
  const auto nonzero = [](const Shape& shape, std::uint64_t seed) {
    return away_from_zero(shape, seed);
  };
  binary("add", ops::add, any);
  binary("sub", ops::sub, any);
  binary("mul", ops::mul, any);
  binary("div", ops::div, nonzero);
  binary("gate", ops::gate, nonzero);
  unary("affine", any, [](const Tensors& in) { return Tensors{ops::affine(in[0], -1.5, 0.25)}; });
  unary("neg", any, over(ops::neg));
  unary("exp", any, over(ops::exp));
  unary("log", positive, over(ops::log));
  unary("rsqrt", positive, over(ops::rsqrt));
  unary("sigmoid", any, over(ops::sigmoid));
  unary("square", any, over(ops::square));
  unary("relu", nonzero, over(ops::relu));
}

void add_sums(std::vector<CheckCase>& cases, bool large) {
  struct Pair {
    Shape small, big;
  };
  const std::vector<Pair> pairs =
      large ? std::vector<Pair>{{{1, 1, 1, 16}, {64, 32, 32, 16}}, {{4096, 1}, {4096, 100}}}
            : std::vector<Pair>{{{1}, {1}}, {{1, 5}, {7, 5}}, {{3, 1, 5, 1}, {3, 2, 5, 7}}};
  for (const auto& [small, big] : pairs) {
    const std::string name = small.str() + " and " + big.str();
    cases.push_back({"broadcast_to", name, {normal(small, 8)}, [big](const Tensors& in) {
                       return Tensors{ops::broadcast_to(in[0], big)};
                     }});
    cases.push_back({"sum_to", name, {normal(big, 9)}, [small](const Tensors& in) {
                       return Tensors{ops::sum_to(in[0], small)};
                     }});
  }
  for (const Shape& shape : large ? one_large : awkward) {
    cases.push_back({"sum", shape.str(), {normal(shape, 10)}, over(ops::sum)});
    cases.push_back({"mean", shape.str(), {normal(shape, 11)}, over(ops::mean)});
  }
}

void add_gathers(std::vector<CheckCase>& cases, bool large) {
  struct Extents {
    std::int64_t rows, width, count;
  };
  const std::vector<Extents> sizes = large ? std::vector<Extents>{{1000, 128, 4096}}
                                           : std::vector<Extents>{{1, 1, 1}, {5, 3, 7}, {7, 1, 4}};
  for (const auto& [rows, width, count] : sizes) {
    const std::string name = fmt::format("{} of [{}, {}]", count, rows, width);
    cases.push_back(
        {"take", name, {normal({rows, width}, 12), indices(count, rows, 13)}, over(ops::take)});
    cases.push_back({"segment_sum",
                     name,
                     {normal({count, width}, 14), indices(count, rows, 15)},
                     [rows = rows](const Tensors& in) {
                       return Tensors{ops::segment_sum(in[0], in[1], rows)};
                     }});
    cases.push_back(
        {"pick", name, {normal({count, rows}, 16), indices(count, rows, 17)}, over(ops::pick)});
    cases.push_back(
        {"place",
         name,
         {normal({count}, 18), indices(count, rows, 19)},
         [rows = rows](const Tensors& in) { return Tensors{ops::place(in[0], in[1], rows)}; }});
  }
}

}  // namespace

std::vector<CheckCase> plain_cases(bool large) {
  std::vector<CheckCase> cases;
  if (!large) add_identity(cases);
  add_elementwise(cases, large ? one_large : awkward);
  add_sums(cases, large);
  add_gathers(cases, large);
  if (large) return cases;
  cases.push_back({"all_reduce", "one rank", {normal({3, 5}, 20)}, over(ops::all_reduce)});
  cases.push_back({"all_gather", "one rank", {normal({3, 5}, 21)}, over(ops::all_gather)});
  return cases;
}

namespace {

std::vector<CheckCase> joined(bool large) {
  std::vector<CheckCase> all;
  for (auto family : {plain_cases, dense_cases, conv_cases, norm_cases, pool_cases}) {
    for (CheckCase& one : family(large)) {
      // Behind the last one of its op, if there is one: families take turns among ops.
      const auto same = std::find_if(all.rbegin(), all.rend(),
                                     [&](const CheckCase& other) { return other.op == one.op; });
      all.insert(same == all.rend() ? all.end() : same.base(), std::move(one));
    }
  }
  return all;
}

}  // namespace

std::vector<CheckCase> check_cases() {
  return joined(false);
}
std::vector<CheckCase> perf_cases() {
  return joined(true);
}

std::vector<CheckCase> matching_cases(std::vector<CheckCase> cases, const std::string& filter) {
  std::regex pattern;
  try {
    pattern = std::regex(filter);
  } catch (const std::regex_error&) {
    fail("--filter {}: expected a regular expression", filter);
  }
  std::erase_if(cases, [&](const CheckCase& one) { return !std::regex_search(one.op, pattern); });
  require(!cases.empty(), "--filter {}: no op has such a name", filter);
  return cases;
}

}  // namespace ek
