#include "data/resident.h"

#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"
#include "kernels/base/error.h"
#include "kernels/reduce.h"

namespace ek {
namespace {

void check(const ResidentImages& images, const StreamSpec& spec, const Tensor& records,
           const Tensor& positions) {
  const Shape& have = images.pixels.shape();
  require(!spec.views.empty(), "resident_batch: views: expected at least 1, got 0");
  for (const kernels::AugmentSpec& view : spec.views) {
    require(view.height == have[1] && view.width == have[2],
            "resident_batch: expected a pipeline for images of {} x {}, got one for {} x {} "
            "(width x height)",
            have[2], have[1], view.width, view.height);
  }
  for (const Tensor& index : {records, positions}) {
    require(index.defined() && index.dtype() == DType::int64 && index.rank() == 1 &&
                index.numel() == records.numel(),
            "resident_batch: expected int64 [B] as records and as positions, got {}",
            index.defined() ? index.shape().str() : "none");
    require(index.device() == images.pixels.device(),
            "resident_batch: expected records and positions on {}, got {}",
            images.pixels.device().str(), index.device().str());
  }
}

}  // namespace

ResidentImages make_resident(const ImageSet& images, Device device) {
  const MemoryScope scope(MemoryUse::data);
  return {Tensor::from(images.pixels, {images.count(), images.height, images.width, 3}).to(device),
          Tensor::from(images.labels, {images.count()}).to(device)};
}

Batch resident_batch(const ResidentImages& images, const StreamSpec& spec, const Tensor& records,
                     const Tensor& positions) {
  const PhaseScope phase(Phase::data);
  check(images, spec, records, positions);
  const MemoryScope scope(MemoryUse::data);
  const Device device = images.pixels.device();
  const std::int64_t count = records.numel();
  Batch batch;
  batch.items = records;
  batch.labels = Tensor::empty({count}, DType::int64, device);
  dispatch_device("resident_batch", device, [&]<class B>() {
    kernels::take_rows<B, std::int64_t>(
        current_stream(), count, 1, images.labels.data<std::int64_t>(),
        records.data<std::int64_t>(), batch.labels.output<std::int64_t>());
  });
  for (std::size_t view = 0; view < spec.views.size(); ++view) {
    const kernels::AugmentSpec& pipeline = spec.views[view];
    const ProfileScope profile(
        "augment_images", [&] { return fmt::format("{} images", count); }, 0,
        double(count * pipeline.height * pipeline.width * 3) * double(1 + size_of(spec.dtype)));
    Tensor out = Tensor::empty({count, pipeline.height, pipeline.width, 3}, spec.dtype, device);
    dispatch_activation("resident_batch", out, [&]<class B, class T>() {
      kernels::augment_images<B, T>(current_stream(), pipeline, augment_key(spec, int(view)), count,
                                    images.pixels.data<std::uint8_t>(),
                                    records.data<std::int64_t>(), positions.data<std::int64_t>(),
                                    out.template output<T>());
    });
    batch.views.push_back(std::move(out));
  }
  return batch;
}

Batch make_batch(const StreamSpec& spec, std::int64_t step, const ResidentImages& images) {
  const auto [draw, records, positions] = draw_batch(spec, step);
  require(images.pixels.size(0) == spec.images->count(),
          "make_batch: a stream over {} images, {} are resident", spec.images->count(),
          images.pixels.size(0));
  const Device device = images.pixels.device();
  const std::int64_t count = std::int64_t(records.size());
  return resident_batch(images, spec, Tensor::from(records, {count}).to(device),
                        Tensor::from(positions, {count}).to(device));
}

}  // namespace ek
