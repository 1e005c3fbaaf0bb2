// ek-check: the list of ops is complete, all of them pass on every device at hand, and wrong ones
// are found.
#include <array>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "apps/check/command.h"
#include "apps/op/table.h"
#include "engine/ops.h"
#include "tests/apps/program_run.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/threads.h"

using ek::CheckCase;
using ek::CheckOutcome;
using ek::CheckPart;
using ek::CheckState;
using ek::DType;
using ek::Tensor;
using ek::Tensors;

namespace {

std::string file_text(const std::string& path) {
  std::ifstream stream(source_dir() + "/" + path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

// The functions that engine/ops.h declares.
std::set<std::string> declared_ops() {
  const std::string text = file_text("engine/ops.h");
  const std::regex declaration(
      R"(\n(?:Tensor|ChannelStats|PreNorm|NormConv|PooledLinear) (\w+)\()");
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), declaration), end; it != end; ++it) {
    names.insert((*it)[1]);
  }
  return names;
}

std::set<std::string> ops_of(const std::vector<CheckCase>& cases) {
  std::set<std::string> names;
  for (const CheckCase& one : cases) names.insert(one.op);
  return names;
}

// What moves to one device is no op of that device: two are needed.
const std::set<std::string> without_cases{"to_device"};

enum class Fault { none, value, vjp, jvp, second, fault };

// y = x^3 with one fault.
class Cube final : public ek::Op {
 public:
  Cube(const Tensor& x, Fault fault) : x_(x), fault_(fault) {}
  std::string_view name() const override { return "cube"; }
  Tensors vjp(const Tensors& ct, const ek::Needs&) const override {
    return {slope(ct[0], fault_ == Fault::vjp ? 2.9 : 3)};
  }
  Tensors jvp(const Tensors& t) const override {
    return {slope(t[0], fault_ == Fault::jvp ? 2.9 : 3)};
  }

 private:
  Tensor slope(const Tensor& d, double factor) const {
    Tensor x = x_.get();
    if (fault_ == Fault::second) x = ek::ops::stop_gradient(x);
    return ek::ops::mul(d, ek::ops::affine(ek::ops::square(x), factor));
  }
  ek::Saved x_;
  Fault fault_;
};

// With the fault in float32 alone, or in all dtypes.
CheckCase cube(Fault fault, bool everywhere) {
  return {"cube", "[5]", {ek::check_numbers::away_from_zero({5}, 1)}, [=](const Tensors& in) {
            const Tensor& x = in[0];
            const bool wrong = everywhere || x.dtype() == DType::float32;
            const Fault here = wrong ? fault : Fault::none;
            if (here == Fault::fault) ek::fail("cube: lost its way");
            std::vector<double> values = x.to_vector();
            for (double& v : values) v = v * v * v * (here == Fault::value ? 1.001 : 1);
            const Tensor y = Tensor::from(values, x.shape()).to(x.dtype()).to(x.device());
            ek::record(std::array{x}, std::array{y},
                       [&] { return std::make_unique<Cube>(x, here); });
            return Tensors{y};
          }};
}

CheckState state(const ek::CheckOutcomes& outcomes, CheckPart part) {
  INFO(outcomes[std::size_t(part)].detail);
  return outcomes[std::size_t(part)].state;
}

}  // namespace

TEST_CASE("ek-check: every op has cases", "[check]") {
  const std::set<std::string> declared = declared_ops(), checked = ops_of(ek::check_cases());
  REQUIRE(declared.size() > 30);
  for (const std::string& op : declared) {
    if (without_cases.contains(op)) continue;
    CAPTURE(op);
    CHECK(checked.contains(op));
  }
  for (const std::string& op : checked) {
    CAPTURE(op);
    CHECK(declared.contains(op));
  }
  for (const ek::OpEntry& entry : ek::op_table()) {
    if (entry.name.find(':') != std::string::npos) continue;  // losses, models, meta-gradients
    CAPTURE(entry.name);
    CHECK(checked.contains(entry.name));
  }
  for (const std::string& op : ops_of(ek::perf_cases())) CHECK(declared.contains(op));
}

TEST_CASE("ek-check: all ops pass on every device, and docs/coverage.md says so", "[check]") {
  std::vector<ek::CheckColumn> columns;
  for (const ek::Device device : ek::devices()) {
    for (const ek::CheckType type : ek::check_types_of(device)) columns.push_back({device, type});
  }
  const Threads one(1);  // shapes are small
  const ek::CheckTable table = ek::check_support(columns, ek::check_cases());
  INFO(table.text());
  CHECK(table.failures() == 0);
  // The page in the tree has the columns of a machine without a GPU.
  const bool gpu = ek::is_available({ek::Device::Kind::cuda});
  if (ek::is_available({ek::Device::Kind::simt}) && !gpu) {
    const bool written = ek::coverage_page(table) == file_text("docs/coverage.md");
    INFO("write it again: ek-check support --markdown docs/coverage.md");
    CHECK(written);
  }
}

TEST_CASE("ek-check: wrong ops are found, part by part", "[check]") {
  using enum CheckPart;
  const auto test = [](Fault fault) {
    return ek::test_outcomes(cube(fault, false), {}, DType::float32);
  };
  for (const CheckPart part : ek::check_parts) {
    CHECK(state(test(Fault::none), part) == CheckState::passed);
    CHECK(state(test(Fault::fault), part) == CheckState::failed);
  }
  CHECK(state(test(Fault::value), forward) == CheckState::failed);
  CHECK(state(test(Fault::vjp), forward) == CheckState::passed);
  CHECK(state(test(Fault::vjp), vjp) == CheckState::failed);
  CHECK(state(test(Fault::vjp), jvp) == CheckState::passed);
  CHECK(state(test(Fault::jvp), jvp) == CheckState::failed);
  CHECK(state(test(Fault::second), jvp) == CheckState::passed);
  CHECK(state(test(Fault::second), second) == CheckState::failed);

  const auto grad = [](Fault fault) { return ek::gradient_outcomes(cube(fault, true), {}); };
  for (const CheckPart part : {vjp, jvp, second}) {
    CHECK(state(grad(Fault::none), part) == CheckState::passed);
    CHECK(state(grad(Fault::fault), part) == CheckState::failed);
  }
  CHECK(state(grad(Fault::vjp), vjp) == CheckState::failed);
  CHECK(state(grad(Fault::vjp), jvp) == CheckState::passed);
  CHECK(state(grad(Fault::jvp), jvp) == CheckState::failed);
  CHECK(state(grad(Fault::value), jvp) == CheckState::failed);
  CHECK(state(grad(Fault::second), jvp) == CheckState::passed);
  CHECK(state(grad(Fault::second), second) == CheckState::failed);

  ek::CheckTable table({{{}, DType::float32}});
  table.add(0, cube(Fault::vjp, false), test(Fault::vjp), "test");
  CHECK(table.failures() == 2);  // a second derivative is one of the vjp
  CHECK(contains(table.markdown(), "| `cube` | ✓✗✓✗ |"));
}

TEST_CASE("ek-check: a gap counts as refused only where it is named", "[check]") {
  const auto saying = [](const char* words) {
    const CheckCase one{
        "odd", "[2]", {ek::check_numbers::normal({2}, 1)}, [words](const Tensors&) -> Tensors {
          ek::fail("odd: {}", words);
        }};
    return ek::test_outcomes(one, {}, DType::bfloat16)[0];
  };
  CHECK(saying("dtype bfloat16 is not supported").state == CheckState::refused);
  CHECK(saying("not today").state == CheckState::failed);

  ek::CheckTable table({{{}, DType::bfloat16}});
  for (const CheckCase& one : ek::check_cases()) {
    if (one.op == "exp") {
      table.add(0, one, ek::test_outcomes(one, {}, DType::bfloat16), "test");
    }
  }
  CHECK(table.failures() == 0);
  CHECK(contains(table.markdown(), "| `exp` | –––– |"));
  CHECK(contains(table.markdown(),
                 "- cpu bfloat16, \"dtype bfloat16 is not supported (float32 and float64 are)\": "
                 "exp\n"));
}

TEST_CASE("ek-check: tf32 has to round factors as it says, and the cpu refuses it", "[check]") {
  const ek::CheckType tf32(DType::float32, ek::kernels::FloatProducts::tf32);
  int convolutions = 0;
  for (CheckCase one : ek::check_cases()) {
    if (!one.run_tf32) {
      for (const CheckPart part : ek::check_parts) {
        CHECK(state(ek::test_outcomes(one, {}, tf32), part) == CheckState::not_run);
      }
      continue;
    }
    CAPTURE(one.op, one.name);
    ++convolutions;
    for (const CheckPart part : {CheckPart::forward, CheckPart::vjp, CheckPart::jvp}) {
      CHECK(state(ek::test_outcomes(one, {}, tf32), part) == CheckState::refused);
    }
    if (one.fused) {  // held to a quarter of a percent; weights are off by one
      one.run_tf32 = [run = one.run](const Tensors& in) {
        Tensors off = in;
        off[1] = ek::ops::affine(in[1], 1.01);
        return run(off);
      };
      CHECK(state(ek::test_outcomes(one, {}, tf32), CheckPart::forward) == CheckState::failed);
      continue;
    }
    // Products of factors that nobody rounded lie within float32's rounding of the wrong numbers.
    one.run_tf32 = one.run;
    const auto outcomes = ek::test_outcomes(one, {}, tf32);
    for (const CheckPart part : {CheckPart::forward, CheckPart::vjp, CheckPart::jvp}) {
      CHECK(state(outcomes, part) == CheckState::failed);
    }
  }
  CHECK(convolutions > 30);
}

TEST_CASE("ek-check program: what runs is told, and so is that nothing did", "[check]") {
  const TempDir dir;
  const auto check = [&](const std::string& arguments) {
    return run_program(dir, "ek-check", arguments);
  };
  const auto lines = [](const std::string& text) {
    std::vector<std::string> all;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  };
  const ProgramRun listed = check("ops");
  CHECK(listed.code == 0);
  const auto names = lines(listed.out);
  CHECK(names.size() == ops_of(ek::check_cases()).size());
  for (const std::string& op : ops_of(ek::check_cases())) CHECK(std::ranges::count(names, op) == 1);
  CHECK(check("ops --filter '^conv2d'").out ==
        "conv2d\nconv2d_backward_data\nconv2d_backward_weights\n");
  check_refused(check("ops --filter nothing"), "no op has such a name");

  const ProgramRun some = check("test --filter '^(exp|relu)$' --device cpu --progress");
  CHECK(some.code == 0);
  CHECK(some.error ==
        "cpu float64 exp\ncpu float64 relu\ncpu float32 exp\ncpu float32 relu\n"
        "cpu bfloat16 exp\ncpu bfloat16 relu\n");
  CHECK(lines(some.out).back() == "40 checks passed, 0 failed, 32 refused");
  CHECK(check("grad --filter '^exp$' --device cpu --progress").error == "cpu float64 exp\n");
  check_refused(check("perf --progress"), "--progress");

  const auto unchecked = [&](const std::string& arguments, const std::string& why) {
    const ProgramRun run = check(arguments);
    CAPTURE(run.out, run.error);
    CHECK(run.code == 2);
    CHECK(contains(run.out, "\n0 checks passed, 0 failed, "));
    CHECK(run.error == "error: ek-check test: nothing was checked: " + why + "\n");
  };
  unchecked("test --filter '^exp$' --device cpu --dtype bfloat16", "all 16 checks were refused");
  check_refused(check("test --dtype tf32 --device cpu"), "the cpu has exact products alone");
  check_refused(check("perf --dtype tf32"), "the cpu has exact products alone");
  if (!ek::is_available({ek::Device::Kind::simt})) return;
  unchecked("test --filter '^relu$' --device simt --dtype tf32",
            "no op of these has tf32 products");
  unchecked("test --filter '^conv2d$' --device simt --dtype float64 --version conv2d_forward=mma",
            "all 32 checks were refused");
  const ProgramRun tf32 = check("test --filter '^conv2d$' --device simt --dtype tf32");
  CHECK(tf32.code == 0);
  CHECK(contains(tf32.out, "✓✓✓·"));
  CHECK(contains(tf32.out, "largest relative error, simt tf32, vjp: "));
}

TEST_CASE("ek-check program: modes and errors", "[check]") {
  const TempDir dir;
  const auto check = [&](const std::string& arguments) {
    return run_program(dir, "ek-check", arguments);
  };
  const ProgramRun test = check("test --filter '^relu$' --device cpu --markdown table.md");
  CAPTURE(test.out, test.error);
  CHECK(test.code == 0);
  CHECK(contains(test.out, "0 failed"));
  CHECK(contains(file_bytes(dir / "table.md"), "| `relu` |"));
  CHECK(check("grad --filter '^(relu|gate)$' --device cpu").code == 0);
  const ProgramRun support = check("support --filter square --dtype float64 --device cpu");
  CHECK(support.code == 0);
  CHECK(contains(support.out, "✓✓✓✓"));

  const ProgramRun versions = check("versions");
  CHECK(versions.code == 0);
  CHECK(contains(versions.out, "gemm=plain\n"));
  CHECK(check("test --filter '^relu$' --device cpu --version gemm=plain").code == 0);
  check_refused(check("test --version gemm"), "expected FUNCTION=NAME");
  check_refused(check("test --version gemm=fast"), "no version 'fast' (it has plain");
  check_refused(check("tset"), "did you mean 'test'?");
  check_refused(check("grad --dtype float32"), "expected that");
  check_refused(check("test --dtype half"), "--dtype half");
  check_refused(check("test --filter nothing"), "no op has such a name");
  check_refused(check("test --filter '('"), "expected a regular expression");
  check_refused(check("test --device tpu"), "--device tpu");
  check_refused(check("perf --markdown t.md"), "--markdown");
  if (ek::is_available({ek::Device::Kind::simt})) {
    check_refused(check("perf --device simt"), "perf times devices");
  }
}

TEST_CASE("ek-check program: times", "[check][slow]") {
  const TempDir dir;
  const ProgramRun run = run_program(dir, "ek-check", "perf --filter '^add$' --seconds 0.01");
  CHECK(run.code == 0);
  CHECK(contains(run.out, "GFLOP/s"));
  CHECK(contains(run.out, "add [64, 32, 32, 16]"));
}
