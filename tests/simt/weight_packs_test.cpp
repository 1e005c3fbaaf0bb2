#include "kernels/weight_packs.h"

#include "kernels/base/error.h"
#include "kernels/base/versions.h"
#include "kernels/elementwise.h"
#include "tests/error_of.h"
#include "tests/kernels/reference.h"
#include "tests/simt/device.h"

// Many packs in one launch, and steps that write packs. Packs are compared word by word with what
// conv2d_pack makes of the same weights; whether that is right is what the tests of the convolution
// say.
using namespace ek::kernels;
using namespace ek::simt::test;
using ek::bf16;
using ek::reference::GuardedWorkspace;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

constexpr int kSteps = 2;

// Convolutions in a flat buffer, with other parameters before, between and behind.
struct Model {
  std::vector<Conv2dShape> shapes;
  std::vector<std::int64_t> begins;
  std::int64_t count = 5;

  void add(Conv2dShape shape, std::int64_t gap, FloatProducts products) {
    shape.products = products;
    shapes.push_back(shape);
    begins.push_back(count);
    count += shape.weight_size() + gap;
  }
};

Model few(FloatProducts products) {
  Model model;
  model.add({1, 5, 5, 3, 8, 3, 3, 1, 1, 1, 1}, 16, products);      // a stem
  model.add({1, 5, 5, 16, 16, 3, 3, 1, 1, 1, 1}, 0, products);     // whole fragments
  model.add({1, 5, 5, 17, 19, 2, 3, 1, 2, 1, 1}, 3, products);     // one beyond; next to the last
  model.add({1, 5, 5, 6, 4, 3, 3, 1, 1, 1, 1, 2}, 1, products);    // two groups, merged
  model.add({1, 5, 5, 8, 8, 3, 3, 2, 2, 1, 1, 8}, 7, products);    // depthwise
  model.add({1, 5, 5, 12, 36, 1, 1, 1, 1, 0, 0, 3}, 2, products);  // groups too wide to merge
  model.add({1, 5, 5, 1, 1, 1, 1}, 0, products);                   // one weight, the buffer's last
  return model;
}

// More convolutions and more packs than go into one launch.
Model many(FloatProducts products) {
  Model model;
  for (std::int64_t i = 0; i < 90; ++i) {
    model.add({1, 3, 3, 1 + i % 3, 1 + i % 4, 1 + i % 2, 2}, i % 3, products);
  }
  return model;
}

// Segments that begin and end anywhere, a frozen one, one element, and gaps.
std::vector<OptimSegment> segments_of(const Model& model) {
  const std::int64_t n = model.count;
  return {{0, 3, 1.0, 1e-2},          {3, n / 5, 0.5, 1e-3},        {n / 5, n / 3, 1.0, 0, true},
          {n / 3, n / 3 + 1, 2.0, 0}, {n / 3 + 2, n / 2, 0.1, 0.5}, {n / 2 + 3, n, 1.0, 1e-4}};
}

// The packs of all convolutions for both passes, and a third one: the executor's in guarded memory.
// Jobs are in no order.
template <class B, class T>
class Packs {
 public:
  explicit Packs(const Model& model) {
    for (std::size_t i = model.shapes.size(); i-- > 0;) {
      add(model, i, Conv2dPass::backward_data);
      add(model, i, Conv2dPass::forward);
    }
    add(model, 0, Conv2dPass::tangent);
  }
  std::span<const PackJob> jobs() const { return jobs_; }

  std::vector<std::vector<std::uint32_t>> words() const {
    std::vector<std::vector<std::uint32_t>> all;
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      if constexpr (std::is_same_v<B, Simt>) {
        all.push_back(simt_[i]->values());
      } else {
        REQUIRE(cpu_[i]->intact());
        const auto* from = static_cast<const std::uint32_t*>(jobs_[i].pack);
        all.emplace_back(from, from + conv2d_pack_bytes<B, T>(jobs_[i].shape, jobs_[i].pass) / 4);
      }
    }
    return all;
  }

 private:
  void add(const Model& model, std::size_t i, Conv2dPass pass) {
    const std::size_t bytes = conv2d_pack_bytes<B, T>(model.shapes[i], pass);
    void* memory;
    if constexpr (std::is_same_v<B, Simt>) {
      simt_.push_back(std::make_unique<Guarded<std::uint32_t>>(bytes / 4, "pack"));
      memory = simt_.back()->data();
    } else {
      cpu_.push_back(std::make_unique<GuardedWorkspace>(bytes));
      memory = cpu_.back()->get().data;
    }
    jobs_.push_back({model.shapes[i], pass, model.begins[i], memory});
  }

  std::vector<std::unique_ptr<Guarded<std::uint32_t>>> simt_;
  std::vector<std::unique_ptr<GuardedWorkspace>> cpu_;
  std::vector<PackJob> jobs_;
};

// What conv2d_pack makes of the weights, job by job.
template <class B, class T>
std::vector<std::vector<std::uint32_t>> packed(const Model& model,
                                               const std::vector<float>& weights) {
  const Packs<B, T> packs(model);
  const Input<float> from(weights, "weights");
  for (const PackJob& job : packs.jobs()) {
    conv2d_pack<B, T>({}, job.shape, job.pass, from.data() + job.begin, job.pack);
  }
  return packs.words();
}

enum class Kind { momentum, nesterov, no_momentum, adam, add_scaled };

const char* function_of(Kind kind) {
  return kind == Kind::adam         ? "adam_step_and_pack"
         : kind == Kind::add_scaled ? "add_scaled_and_pack"
                                    : "sgd_step_and_pack";
}

struct Buffers {
  float *parameters, *first, *second;  // add_scaled writes into `first`
};

template <class B, class T>
void step(Kind kind, int n, const Model& model, std::span<const PackJob> jobs,
          const float* gradient, Buffers to) {
  const std::vector<OptimSegment> segments = segments_of(model);
  if (kind == Kind::adam) {
    adam_step_and_pack<B, T>({}, {0.01, 0.9, 0.999, 1e-8, n + 1}, segments, jobs, gradient,
                             to.parameters, to.first, to.second);
  } else if (kind == Kind::add_scaled) {
    add_scaled_and_pack<B, T>({}, model.count, jobs, to.parameters, -0.3, gradient, to.first);
  } else {
    const bool buffer = kind != Kind::no_momentum;
    const SgdSettings settings{0.1 / (n + 1), buffer ? 0.9 : 0, kind == Kind::nesterov, n == 0};
    sgd_step_and_pack<B, T>({}, settings, segments, jobs, gradient, to.parameters,
                            buffer ? to.first : nullptr);
  }
}

struct State {
  std::vector<float> parameters, first, second;
  std::vector<std::vector<std::uint32_t>> packs;

  // What the packs are of.
  const std::vector<float>& packed(Kind kind) const {
    return kind == Kind::add_scaled ? first : parameters;
  }
};

std::vector<float> gradient(const Model& model, int n) {
  return random_numbers<float>(model.count, std::uint32_t(10 + n));
}

// All steps on the executor; buffers start `shift` elements past an aligned address.
template <class T>
State run_simt(Kind kind, const Model& model, int shift) {
  const std::vector<float> start = random_numbers<float>(model.count, 1);
  const std::vector<float> moments(std::size_t(model.count), kind == Kind::adam ? 0.0F : NAN);
  Guarded<float> p(shifted(start, shift), "parameters"), m(shifted(moments, shift), "first"),
      v(shifted(moments, shift), "second");
  const Packs<Simt, T> packs(model);
  write_packs<Simt, T>({}, packs.jobs(), p.data() + shift);
  for (int n = 0; n < kSteps; ++n) {
    const Input<float> g(shifted(gradient(model, n), shift), "gradient");
    step<Simt, T>(kind, n, model, packs.jobs(), g.data() + shift,
                  {p.data() + shift, m.data() + shift, v.data() + shift});
  }
  const auto values = [&](const Guarded<float>& of) {
    std::vector<float> all = of.values();
    all.erase(all.begin(), all.begin() + shift);
    return all;
  };
  return {values(p), values(m), values(v), packs.words()};
}

template <class T>
State run_cpu(Kind kind, const Model& model) {
  State state;
  state.parameters = random_numbers<float>(model.count, 1);
  state.first.assign(std::size_t(model.count), kind == Kind::adam ? 0.0F : NAN);
  state.second = state.first;
  const Packs<Cpu, T> packs(model);
  write_packs<Cpu, T>({}, packs.jobs(), state.parameters.data());
  for (int n = 0; n < kSteps; ++n) {
    step<Cpu, T>(kind, n, model, packs.jobs(), gradient(model, n).data(),
                 {state.parameters.data(), state.first.data(), state.second.data()});
  }
  state.packs = packs.words();
  return state;
}

void require_same(const State& a, const State& b) {
  REQUIRE(same_bits(a.parameters, b.parameters));
  REQUIRE(same_bits(a.first, b.first));
  REQUIRE(same_bits(a.second, b.second));
  REQUIRE(a.packs == b.packs);
}

// A few operations a step, which the CPU may fuse; errors of a step enter the next one.
void require_close(const std::vector<float>& a, const std::vector<float>& b) {
  constexpr double tolerance = 16 * 0x1p-23;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error =
        std::abs(double(a[i]) - double(b[i])) / std::max(1.0, std::abs(double(b[i])));
    if (!(error <= tolerance)) REQUIRE(error <= tolerance);
  }
}

template <class T>
void check_steps(Kind kind, const Model& model, bool against_cpu) {
  const State separate = [&] {
    const ScopedVersion steps(function_of(kind), "plain"), packs("write_packs", "plain");
    return run_simt<T>(kind, model, 0);
  }();
  REQUIRE(separate.packs == packed<Simt, T>(model, separate.packed(kind)));
  const ScopedVersion fused(function_of(kind), "fused");
  for (const auto& options : some_orders()) {
    const ScopedOptions scope(options);
    require_same(run_simt<T>(kind, model, 0), separate);
  }
  require_same(run_simt<T>(kind, model, 1), separate);
  if (!against_cpu) return;
  const State cpu = run_cpu<T>(kind, model);
  require_close(separate.packed(kind), cpu.packed(kind));
  REQUIRE(cpu.packs == packed<Cpu, T>(model, cpu.packed(kind)));
}

template <class T>
void check_packs_of(const Model& model) {
  const auto weights = random_numbers<float>(model.count, 3);
  const auto expected = packed<Simt, T>(model, weights);
  for (const auto version : versions_of("write_packs")) {
    const ScopedVersion named("write_packs", version);
    for (const auto& options : some_orders()) {
      const ScopedOptions scope(options);
      const Packs<Simt, T> packs(model);
      const Input<float> from(weights, "weights");
      write_packs<Simt, T>({}, packs.jobs(), from.data());
      REQUIRE(packs.words() == expected);
    }
  }
}

constexpr Kind kKinds[] = {Kind::momentum, Kind::nesterov, Kind::no_momentum, Kind::adam,
                           Kind::add_scaled};

}  // namespace

TEST_CASE("simt weight packs of many convolutions are those of each") {
  check_packs_of<float>(few(FloatProducts::exact));
  check_packs_of<float>(few(FloatProducts::tf32));
  check_packs_of<bf16>(few(FloatProducts::exact));
  check_packs_of<float>(many(FloatProducts::exact));
}

TEST_CASE("simt weight packs come out of steps as they do after them, float32") {
  for (const Kind kind : kKinds) check_steps<float>(kind, few(FloatProducts::exact), true);
}

TEST_CASE("simt weight packs come out of steps as they do after them, tf32") {
  for (const Kind kind : {Kind::momentum, Kind::adam, Kind::add_scaled}) {
    check_steps<float>(kind, few(FloatProducts::tf32), false);
  }
}

TEST_CASE("simt weight packs come out of steps as they do after them, bf16") {
  for (const Kind kind : kKinds) check_steps<bf16>(kind, few(FloatProducts::exact), true);
}

TEST_CASE("simt weight packs of more convolutions than go into a launch") {
  check_steps<float>(Kind::momentum, many(FloatProducts::exact), false);
  check_steps<bf16>(Kind::add_scaled, many(FloatProducts::exact), false);
}

TEST_CASE("simt weight packs: a step with none is a step") {
  const Input<float> g(random_numbers<float>(9, 1), "gradient");
  Guarded<float> p(random_numbers<float>(9, 2), "parameters");
  Guarded<float> q(p.values(), "parameters");
  const std::vector<OptimSegment> segments{{0, 4}, {5, 9, 0.5, 0.1}};
  sgd_step<Simt, float>({}, {0.1}, segments, g.data(), p.data(), nullptr);
  sgd_step_and_pack<Simt, bf16>({}, {0.1}, segments, {}, g.data(), q.data(), nullptr);
  write_packs<Simt, float>({}, {}, p.data());
  add_scaled_and_pack<Simt, float>({}, 0, {}, p.data(), 1, g.data(), q.data());
  REQUIRE(same_bits(p.values(), q.values()));
}

TEST_CASE("weight packs: what cannot be packed is refused by name, and nothing changes") {
  const Conv2dShape s{1, 3, 3, 2, 2, 1, 1};
  std::vector<float> p(8, 1.0F), g(8, 1.0F);
  std::uint32_t pack[256];
  const std::vector<OptimSegment> all{{0, 8}};
  const auto refused = [&](std::vector<PackJob> jobs) {
    const std::string simt = error_of(
        [&] { sgd_step_and_pack<Simt, float>({}, {0.1}, all, jobs, g.data(), p.data(), nullptr); });
    REQUIRE(simt == error_of([&] {
              sgd_step_and_pack<Cpu, float>({}, {0.1}, all, jobs, g.data(), p.data(), nullptr);
            }));
    REQUIRE(p == g);
    return simt;
  };
  const Conv2dPass forward = Conv2dPass::forward;
  CHECK(contains(refused({{s, Conv2dPass::backward_weights, 0, pack}}),
                 "sgd_step_and_pack: jobs of the passes forward, tangent and backward data"));
  CHECK(contains(refused({{s, forward, 0, nullptr}}), "memory for the pack of job 0"));
  CHECK(contains(refused({{s, forward, -1, pack}}), "got -1 to 3"));
  CHECK(contains(refused({{s, forward, 4, pack}, {s, forward, 2, pack}}),
                 "no element in common expected, got 2 to 6 and 4 to 8"));
  CHECK(contains(refused({{{1, 3, 3, 2, 2, 5, 5}, forward, 0, pack}}), "within the padded image"));
  const std::vector<PackJob> beyond{{s, forward, 6, pack}};
  CHECK(contains(error_of([&] {
                   add_scaled_and_pack<Simt, float>({}, 8, beyond, p.data(), 1, g.data(), p.data());
                 }),
                 "add_scaled_and_pack: weights within the 8 parameters expected, got 6 to 10"));
  Conv2dShape tf32 = s;
  tf32.products = FloatProducts::tf32;
  const std::vector<PackJob> rounded{{tf32, forward, 0, pack}};
  CHECK(contains(error_of([&] {
                   sgd_step_and_pack<Cpu, float>({}, {0.1}, all, rounded, g.data(), p.data(),
                                                 nullptr);
                 }),
                 "tf32"));
  const std::vector<PackJob> too_many(129, {s, forward, 0, pack});
  CHECK(contains(error_of([&] {
                   sgd_step_and_pack<Simt, float>({}, {0.1}, all, too_many, g.data(), p.data(),
                                                  nullptr);
                 }),
                 "sgd_step_and_pack: expected up to 128 packs of a tensor"));
  REQUIRE(p == g);
}
