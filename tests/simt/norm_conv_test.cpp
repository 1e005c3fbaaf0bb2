#include "kernels/norm_conv.h"

#include <optional>

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/kernels/reference.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using ek::bf16;
using ek::simt::Guarded;
using ek::simt::test::Input;
using ek::test::random_numbers;

namespace {

// A pack or a workspace of B: guarded and known to the executor, or aligned as the CPU wants it.
template <class B>
class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes) {
    if constexpr (std::is_same_v<B, Simt>) {
      memory_.emplace((bytes + 7) / 8, "workspace");
    } else {
      memory_.emplace(bytes);
    }
  }
  Workspace get() {
    if constexpr (std::is_same_v<B, Simt>) {
      return {memory_->data(), bytes_};
    } else {
      return memory_->get();
    }
  }

 private:
  std::size_t bytes_;
  std::optional<
      std::conditional_t<std::is_same_v<B, Simt>, Guarded<double>, ek::reference::GuardedWorkspace>>
      memory_;
};

template <class B, class T>
class Pack {
 public:
  Pack(const Conv2dShape& s, Conv2dPass pass, const Input<Acc<T>>& ohwi)
      : memory_(conv2d_pack_bytes<B, T>(s, pass)), pack_{ohwi.data()} {
    if (memory_.get().bytes == 0) return;
    pack_ = {memory_.get().data};
    conv2d_pack<B, T>({}, s, pass, ohwi.data(), memory_.get().data);
  }
  operator ConvPack() const { return pack_; }

 private:
  Memory<B> memory_;
  ConvPack pack_;
};

// The outputs of a pass, by name.
using Results = std::vector<std::pair<std::string, std::vector<double>>>;
template <class V>
void add(Results& results, const std::string& name, const Guarded<V>& values) {
  results.emplace_back(name, ek::test::numbers(values.values()));
}

struct Case {
  const char* name;
  Conv2dShape conv;
  bool relu = true, shortcut = false, normalizes = true;
};

// Odd extents and channels, one with packs of 16 bytes, and what a pass may be without.
const std::vector<Case> kCases{
    {"plain", {2, 5, 4, 3, 5, 3, 3, 1, 1, 1, 1}},
    {"shortcut", {2, 4, 5, 8, 16, 3, 3, 1, 1, 1, 1}, true, true},
    {"stride 2, no ReLU", {3, 5, 4, 4, 6, 1, 1, 2, 2}, false, true},
    {"groups", {1, 4, 4, 6, 4, 3, 3, 1, 1, 1, 1, 2}},
    {"first layer", {2, 6, 5, 3, 4, 3, 3, 1, 1, 1, 1}, true, false, false},
};

// Inputs of a case; every output of the forward pass is that of the CPU, on both sides.
template <class T>
struct Unit {
  using A = Acc<T>;
  explicit Unit(const Case& c)
      : of{c.conv, 1e-5, c.relu, c.normalizes},
        shortcuts(c.shortcut),
        y(random_numbers<T>(c.conv.input_size(), 1)),
        shortcut(random_numbers<T>(c.conv.input_size(), 2)),
        y_more(random_numbers<T>(c.conv.input_size(), 3)),
        out_more(random_numbers<T>(c.conv.output_size(), 4)),
        mean(random_numbers<A>(c.conv.in_c, 5)),
        var(squares(c.conv.in_c)),
        gamma(random_numbers<A>(c.conv.in_c, 6)),
        beta(random_numbers<A>(c.conv.in_c, 7)),
        weight(rounded(c.conv.weight_size(), 8)),
        weight_more(rounded(c.conv.weight_size(), 9)),
        out_mean_more(random_numbers<A>(c.conv.out_c, 10)),
        out_var_more(random_numbers<A>(c.conv.out_c, 11)) {}

  NormConvInput<T> input() const {
    return {y.data(),     shortcuts ? shortcut.data() : nullptr,
            mean.data(),  var.data(),
            gamma.data(), beta.data()};
  }
  static std::vector<A> squares(std::int64_t count) {
    std::vector<A> values = random_numbers<A>(count, 12);
    for (A& v : values) v = v * v + A(0.5);
    return values;
  }
  static std::vector<A> rounded(std::int64_t count, std::uint32_t seed) {  // numbers of T
    std::vector<A> values;
    for (const T v : random_numbers<T>(count, seed)) values.push_back(A(ek::test::number(v)));
    return values;
  }

  NormConvShape of;
  bool shortcuts;
  Input<T> y, shortcut, y_more, out_more;
  Input<A> mean, var, gamma, beta, weight, weight_more, out_mean_more, out_var_more;
};

template <class B, class T>
Results forward(const Unit<T>& u, bool keeps, bool statistics) {
  const Conv2dShape& s = u.of.conv;
  const Pack<B, T> pack(s, Conv2dPass::forward, u.weight);
  Memory<B> workspace(norm_conv_workspace_bytes<B, T>(u.of, NormConvPass::forward));
  Guarded<T> act(std::size_t(s.input_size()), "act"), out(std::size_t(s.output_size()), "out");
  Guarded<Acc<T>> mean(std::size_t(s.out_c), "out_mean"), var(std::size_t(s.out_c), "out_var");
  norm_conv_forward<B, T>({}, u.of, u.input(), pack,
                          {keeps ? act.data() : nullptr, out.data(),
                           statistics ? mean.data() : nullptr, statistics ? var.data() : nullptr},
                          workspace.get());
  Results results;
  if (keeps) add(results, "act", act);
  add(results, "out", out);
  if (statistics) add(results, "out_mean", mean);
  if (statistics) add(results, "out_var", var);
  return results;
}

// What the CPU's forward pass leaves for the derivatives.
template <class T>
struct Left {
  Input<T> act, out;
  Input<Acc<T>> out_mean;

  explicit Left(const Unit<T>& u) : Left(u, forward<Cpu, T>(u, u.of.normalizes, true)) {}
  NormConvSaved<T> saved(bool keeps) const {
    return {keeps ? act.data() : nullptr, out.data(), out_mean.data()};
  }

 private:
  Left(const Unit<T>& u, const Results& r)
      : act(narrow<T>(r.front().second), "act"),
        out(narrow<T>(r[u.of.normalizes ? 1 : 0].second), "out"),
        out_mean(narrow<Acc<T>>(r[u.of.normalizes ? 2 : 1].second), "out_mean") {}
  template <class V>
  static std::vector<V> narrow(const std::vector<double>& wide) {
    std::vector<V> values;
    for (const double v : wide) values.push_back(ek::test::nearest<V>(v));
    return values;
  }
};

struct VjpOf {
  const char* name;
  bool keeps, dact, statistics, to_input, dshortcut;
};
constexpr VjpOf kVjps[] = {{"everything", true, true, true, true, true},
                           {"dout alone", true, false, false, true, false},
                           {"activation not kept", false, true, false, true, true},
                           {"dweight alone", true, false, true, false, false}};

template <class B, class T>
Results vjp(const Unit<T>& u, const Left<T>& left, const VjpOf& of) {
  using A = Acc<T>;
  const Conv2dShape& s = u.of.conv;
  const Pack<B, T> pack(s, Conv2dPass::backward_data, u.weight);
  Memory<B> workspace(norm_conv_workspace_bytes<B, T>(u.of, NormConvPass::vjp));
  const bool per_channel = of.to_input && u.of.normalizes;
  const bool to_shortcut = per_channel && of.dshortcut;
  const auto size = std::size_t(s.input_size()), channels = std::size_t(s.in_c);
  Guarded<T> dy(size, "dy"), dshortcut(size, "dshortcut");
  Guarded<A> dmean(channels, "dmean"), dvar(channels, "dvar"), dgamma(channels, "dgamma"),
      dbeta(channels, "dbeta"), dweight(std::size_t(s.weight_size()), "dweight");
  norm_conv_vjp<B, T>({}, u.of, u.input(), left.saved(of.keeps), pack,
                      {of.dact && u.of.normalizes ? u.y_more.data() : nullptr, u.out_more.data(),
                       of.statistics ? u.out_mean_more.data() : nullptr,
                       of.statistics ? u.out_var_more.data() : nullptr},
                      {of.to_input ? dy.data() : nullptr, to_shortcut ? dshortcut.data() : nullptr,
                       dmean.data(), dvar.data(), dgamma.data(), dbeta.data(), dweight.data()},
                      workspace.get());
  Results results;
  add(results, "dweight", dweight);
  if (of.to_input) add(results, "dy", dy);
  if (to_shortcut) add(results, "dshortcut", dshortcut);
  if (!per_channel) return results;
  add(results, "dmean", dmean);
  add(results, "dvar", dvar);
  add(results, "dgamma", dgamma);
  add(results, "dbeta", dbeta);
  return results;
}

struct JvpOf {
  const char* name;
  bool keeps, y, shortcut, per_channel, weight, statistics, act;
};
constexpr JvpOf kJvps[] = {{"everything", true, true, true, true, true, true, true},
                           {"y alone", true, true, false, false, false, true, false},
                           {"weight alone", false, false, false, false, true, false, false},
                           {"activation not kept", false, true, false, true, true, false, false},
                           {"shortcut alone", true, false, true, false, false, false, true}};

template <class B, class T>
Results jvp(const Unit<T>& u, const Left<T>& left, const JvpOf& of) {
  using A = Acc<T>;
  const Conv2dShape& s = u.of.conv;
  const Pack<B, T> pack(s, Conv2dPass::forward, u.weight),
      more(s, Conv2dPass::forward, u.weight_more);
  Memory<B> workspace(norm_conv_workspace_bytes<B, T>(u.of, NormConvPass::jvp));
  const bool to_act = of.act && u.of.normalizes;
  Guarded<T> act(std::size_t(s.input_size()), "act'"), out(std::size_t(s.output_size()), "out'");
  Guarded<A> mean(std::size_t(s.out_c), "out_mean'"), var(std::size_t(s.out_c), "out_var'");
  const auto channel = [&](const Input<A>& tangent) {
    return of.per_channel ? tangent.data() : nullptr;
  };
  norm_conv_jvp<B, T>({}, u.of, u.input(), left.saved(of.keeps), pack,
                      {of.y ? u.y_more.data() : nullptr, of.shortcut ? u.shortcut.data() : nullptr,
                       channel(u.gamma), channel(u.beta), channel(u.mean), channel(u.var),
                       of.weight ? ConvPack(more) : ConvPack()},
                      {to_act ? act.data() : nullptr, out.data(),
                       of.statistics ? mean.data() : nullptr, of.statistics ? var.data() : nullptr},
                      workspace.get());
  Results results;
  if (to_act) add(results, "act'", act);
  add(results, "out'", out);
  if (of.statistics) add(results, "out_mean'", mean);
  if (of.statistics) add(results, "out_var'", var);
  return results;
}

// Relative to a tensor's largest number: float32 and float64 by a hundred roundings of sums of at
// most as many products. bf16 rounds act, out and their cotangents, by half a unit of 2^-7 each;
// where float32's rounding differs, so may these, by a unit.
template <class T>
constexpr double kTolerance = std::is_same_v<T, bf16> ? 0x1p-6 : 128 * 0x1p-23;
template <>
constexpr double kTolerance<double> = 128 * 0x1p-52;

// run.operator()<B>() -> Results, on the CPU and in all orders.
template <class T, class Run>
void check(const Run& run) {
  const Results cpu = run.template operator()<Cpu>();
  Results first;
  for (const ek::simt::Options& options : ek::simt::test::some_orders()) {
    const ek::simt::ScopedOptions scope(options);
    const Results simt = run.template operator()<Simt>();
    REQUIRE(simt.size() == cpu.size());
    if (first.empty()) first = simt;
    for (std::size_t i = 0; i < cpu.size(); ++i) {
      INFO(cpu[i].first);
      const auto& expected = cpu[i].second;
      REQUIRE(ek::test::same_bits(simt[i].second, first[i].second));
      double scale = 0;
      for (const double v : expected) scale = std::max(scale, std::abs(v));
      REQUIRE(ek::test::max_error(simt[i].second, expected, scale) <= kTolerance<T>);
    }
  }
}

// By the rule, which fuses where that serves, and as the kernels of norm.h and conv.h one by one.
template <class T, class Run>
void check_rule_and_plain(std::string_view function, const Run& run) {
  check<T>(run);
  const ScopedVersion plain(function, "plain");
  check<T>(run);
}

}  // namespace

TEMPLATE_TEST_CASE("simt norm_conv: values", "", float, double, bf16) {
  using T = TestType;
  for (const Case& c : kCases) {
    const Unit<T> u(c);
    for (const bool all : {false, true}) {
      INFO(c.name << ", " << (all ? "all outputs" : "out alone"));
      const auto run = [&]<class B>() { return forward<B, T>(u, all && c.normalizes, all); };
      check_rule_and_plain<T>("norm_conv_forward", run);
    }
  }
}

TEMPLATE_TEST_CASE("simt norm_conv: cotangents", "", float, double, bf16) {
  using T = TestType;
  for (const Case& c : kCases) {
    const Unit<T> u(c);
    const Left<T> left(u);
    for (const VjpOf& of : kVjps) {
      INFO(c.name << ", " << of.name);
      const auto run = [&]<class B>() { return vjp<B, T>(u, left, of); };
      check_rule_and_plain<T>("norm_conv_vjp", run);
    }
  }
}

TEMPLATE_TEST_CASE("simt norm_conv: tangents", "", float, double, bf16) {
  using T = TestType;
  for (const Case& c : kCases) {
    const Unit<T> u(c);
    const Left<T> left(u);
    for (const JvpOf& of : kJvps) {
      if (!c.normalizes && !of.y && !of.weight) continue;
      INFO(c.name << ", " << of.name);
      const auto run = [&]<class B>() { return jvp<B, T>(u, left, of); };
      check_rule_and_plain<T>("norm_conv_jvp", run);
    }
  }
}

TEST_CASE("simt norm_conv refuses by name") {
  const Unit<float> u(kCases[0]);
  const Left<float> left(u);
  REQUIRE_THROWS_WITH(
      (jvp<Simt, float>(u, left, {"nothing", true, false, false, false, false, false, false})),
      Catch::Matchers::StartsWith("norm_conv_jvp: expected a tangent"));
  REQUIRE_THROWS_WITH(
      (jvp<Simt, float>(u, left, {"act", true, false, false, false, true, false, true})),
      Catch::Matchers::StartsWith("norm_conv_jvp: expected no output"));
  Guarded<float> out(std::size_t(u.of.conv.output_size()), "out");
  const ScopedVersion plain("norm_conv_forward", "plain");
  REQUIRE_THROWS_WITH((norm_conv_forward<Simt, float>({}, u.of, u.input(), {},
                                                      {nullptr, out.data(), nullptr, nullptr}, {})),
                      Catch::Matchers::StartsWith("norm_conv_forward: expected a larger"));
}
