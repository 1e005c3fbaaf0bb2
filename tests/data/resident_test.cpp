#include "data/resident.h"

#include <cstring>

#include "data/images/synthetic.h"
#include "data/pipelines.h"
#include "tests/catch.h"
#include "tests/error_of.h"

namespace ek {
namespace {

std::vector<Device> devices_to_test() {
  std::vector<Device> all{{}};
  const Device simt{Device::Kind::simt};
  if (is_available(simt)) all.push_back(simt);
  return all;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device{}), y = b.to(Device{});
  return x.shape() == y.shape() && x.dtype() == y.dtype() &&
         std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

}  // namespace

TEST_CASE("a batch of a resident set has the bits of the loader's") {
  const DataSource source = make_synthetic("shapes", 1, {.train_per_class = 2});
  StreamSpec spec;
  spec.images = &source.train;
  for (std::int64_t i = 19; i >= 4; --i) spec.subset.push_back(i);
  spec.sampler = shuffled_sampler(16, 4);
  spec.batch_size = 3;
  spec.views[0] = pipeline_spec("cifar-dn-plain", "half", 32, 32);
  spec.seed = 6;
  spec.views.push_back(spec.views[0]);
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    spec.dtype = dtype;
    for (const Device device : devices_to_test()) {
      const ResidentImages resident = make_resident(source.train, device);
      for (const std::int64_t step : {0, 7}) {  // 7: of the second epoch
        const Batch expected = make_batch(spec, step), got = make_batch(spec, step, resident);
        REQUIRE(got.views.size() == 2);
        for (std::size_t v = 0; v < 2; ++v) REQUIRE(same_bits(got.views[v], expected.views[v]));
        REQUIRE(!same_bits(got.views[0], got.views[1]));
        REQUIRE(same_bits(got.labels, expected.labels));
        REQUIRE(same_bits(got.items, expected.items));
        CHECK(got.labels.device() == device);
      }
    }
  }
  const ResidentImages resident = make_resident(source.test, {});
  CHECK(contains(error_of([&] { make_batch(spec, 0, resident); }), "are resident"));
  const Tensor two = Tensor::from(std::vector<std::int64_t>{0, 1}, {2});
  const Tensor one = Tensor::from(std::vector<std::int64_t>{0}, {1});
  CHECK(contains(error_of([&] { resident_batch(resident, spec, two, one); }), "got [1]"));
}

}  // namespace ek
