// The packs of all convolutions of ResNet-32 for 100 classes: written after a step, and by it.
#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "kernels/weight_packs.h"

namespace ek::bench {
namespace {

using namespace kernels;

constexpr double learning_rate = 1e-3;  // small: the numbers stay finite however often it runs

// Where weights lie among the parameters, and the jobs without their memory. Batch norm's scales
// and shifts follow each convolution, the classifier comes last.
struct Model {
  std::vector<PackJob> jobs;
  std::int64_t parameters = 0;
};

Model resnet32(FloatProducts products) {
  Model model;
  const auto add = [&](Conv2dShape shape, bool stem) {
    shape.products = products;
    model.jobs.push_back({shape, Conv2dPass::forward, model.parameters, nullptr});
    // No gradient of the images of the data set is ever wanted.
    if (!stem) {
      model.jobs.push_back({shape, Conv2dPass::backward_data, model.parameters, nullptr});
    }
    model.parameters += shape.weight_size() + 2 * shape.out_c;
  };
  for (const Layer& layer : resnet32_layers(1)) {
    const bool widens = layer.shape.in_c != layer.shape.out_c;
    const int times = widens ? 1 : layer.shape.in_c == 16 ? 10 : 9;
    for (int i = 0; i < times; ++i) add(layer.shape, layer.stem);
  }
  model.parameters += 64 * 100 + 100;
  return model;
}

// The jobs with memory, packed once.
template <class B, class T>
std::vector<PackJob> with_packs(Operands& o, const Model& model, const float* weights) {
  std::vector<PackJob> jobs = model.jobs;
  for (PackJob& job : jobs) {
    job.pack = o.random<std::uint8_t>(std::int64_t(conv2d_pack_bytes<B, T>(job.shape, job.pass)));
  }
  write_packs<B, T>(o.stream(), jobs, weights);
  return jobs;
}

template <class B, class T>
Call write_all(Operands& o, const Model& model) {
  const Stream q = o.stream();
  const float* weights = o.random<float>(model.parameters);
  const std::vector<PackJob> jobs = with_packs<B, T>(o, model, weights);
  return [=] { write_packs<B, T>(q, jobs, weights); };
}

template <class B, class T>
Call sgd(Operands& o, const Model& model) {
  const Stream q = o.stream();
  const float* gradient = o.random<float>(model.parameters);
  float *values = o.random<float>(model.parameters), *momentum = o.random<float>(model.parameters);
  const std::vector<PackJob> jobs = with_packs<B, T>(o, model, values);
  const SgdSettings settings{.lr = learning_rate, .momentum = 0.9, .nesterov = true};
  const std::vector<OptimSegment> all{{0, model.parameters, 1, 5e-4}};
  return [=] { sgd_step_and_pack<B, T>(q, settings, all, jobs, gradient, values, momentum); };
}

template <class B, class T>
Call adam(Operands& o, const Model& model) {
  const Stream q = o.stream();
  const float* gradient = o.random<float>(model.parameters);
  float *values = o.random<float>(model.parameters), *first = o.random<float>(model.parameters),
        *second = o.positive(model.parameters);
  const std::vector<PackJob> jobs = with_packs<B, T>(o, model, values);
  const AdamSettings settings{.lr = learning_rate, .step = 100};
  const std::vector<OptimSegment> all{{0, model.parameters, 1, 5e-4}};
  return [=] { adam_step_and_pack<B, T>(q, settings, all, jobs, gradient, values, first, second); };
}

template <class B, class T>
Call virtual_step(Operands& o, const Model& model) {
  const Stream q = o.stream();
  const std::int64_t count = model.parameters;
  const float *x = o.random<float>(count), *d = o.random<float>(count);
  float* y = o.random<float>(count);
  const std::vector<PackJob> jobs = with_packs<B, T>(o, model, x);
  return [=] { add_scaled_and_pack<B, T>(q, count, jobs, x, -learning_rate, d, y); };
}

template <class B, class T>
void add_cases(FloatProducts products, std::vector<Case>& cases) {
  const Model model = resnet32(products);
  double in_packs = 0, weights = 0;
  for (const PackJob& job : model.jobs) {
    in_packs += double(job.shape.weight_size()) * sizeof(T);
    if (job.pass == Conv2dPass::forward) weights += double(job.shape.weight_size()) * sizeof(float);
  }
  const double buffer = double(model.parameters) * sizeof(float);
  const auto add = [&](const char* family, double bytes, auto make) {
    cases.push_back({.family = family,
                     .shape = "ResNet-32",
                     .precision = precision_of<T>(),
                     .bytes = bytes,
                     .make = [=](Operands& o) { return make(o, model); },
                     .products = products});
  };
  add("write_packs", weights + in_packs, write_all<B, T>);
  add("sgd_step_and_pack", 5 * buffer + in_packs, sgd<B, T>);
  add("adam_step_and_pack", 7 * buffer + in_packs, adam<B, T>);
  add("add_scaled_and_pack", 3 * buffer + in_packs, virtual_step<B, T>);
}

template <class B>
std::vector<Case> cases_of() {
  std::vector<Case> cases;
  for (const FloatProducts products : float_products<B>()) add_cases<B, float>(products, cases);
  add_cases<B, bf16>(FloatProducts::exact, cases);
  return cases;
}

}  // namespace

std::vector<Case> pack_cases(const Device& device, std::int64_t) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(); });
}

}  // namespace ek::bench
