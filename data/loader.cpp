#include "data/loader.h"

#include <omp.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

void check(const StreamSpec& spec) {
  require(spec.images != nullptr && spec.sampler != nullptr,
          "loader: expected images and a sampler, got none");
  const ImageSet& images = *spec.images;
  require(!spec.views.empty(), "loader: views: expected at least 1, got 0");
  for (const kernels::AugmentSpec& view : spec.views) {
    require(
        view.height == images.height && view.width == images.width,
        "loader: expected a pipeline for images of {} x {}, got one for {} x {} (width x height)",
        images.width, images.height, view.width, view.height);
  }
  for (const std::int64_t record : spec.subset) {
    require(record >= 0 && record < images.count(),
            "loader: subset: expected records below {}, got {}", images.count(), record);
  }
}

StepDraw draw_of(const StreamSpec& spec, std::int64_t step) {
  if (!spec.restart_with) return batch_plan(spec).step(step);
  const std::int64_t length = spec.sampler->epoch_length();
  return RestartedPlan(*spec.restart_with, length, spec.batch_size).step(step);
}

// Augmented `records`, one tensor.
Tensor augmented(const ImageSet& images, const kernels::AugmentSpec& augment,
                 const kernels::AugmentKey& key, const std::vector<std::int64_t>& records,
                 const std::vector<std::int64_t>& positions, DType dtype) {
  const MemoryScope scope(MemoryUse::data);
  const std::int64_t count = std::int64_t(records.size());
  const ProfileScope profile(
      "augment_images", [&] { return fmt::format("{} images", count); }, 0,
      double(count * images.image_bytes()) * double(1 + size_of(dtype)));
  Tensor out = Tensor::empty({count, images.height, images.width, 3}, dtype);
  dispatch_activation("loader", out, [&]<class B, class T>() {
    kernels::augment_images<B, T>(current_stream(), augment, key, count, images.pixels.data(),
                                  records.data(), positions.data(), out.template output<T>());
  });
  return out;
}

Batch with_labels(const ImageSet& images, const std::vector<std::int64_t>& records) {
  const MemoryScope scope(MemoryUse::data);
  std::vector<std::int64_t> labels;
  for (const std::int64_t record : records) labels.push_back(images.labels[std::size_t(record)]);
  Batch batch;
  batch.labels = Tensor::from(labels, {std::int64_t(labels.size())});
  batch.items = Tensor::from(records, {std::int64_t(records.size())});
  return batch;
}

BatchDraw checked_draw(const StreamSpec& spec, std::int64_t step) {
  const StepDraw draw = draw_of(spec, step);
  std::vector<std::int64_t> records, positions;
  for (std::int64_t p = draw.first; p < draw.first + draw.count; ++p) {
    const std::int64_t item = spec.sampler->at(p);
    require(item >= 0 && item < std::int64_t(spec.subset.size()),
            "loader: sampler: expected items of a subset of {}, got {}", spec.subset.size(), item);
    records.push_back(spec.subset[std::size_t(item)]);
    positions.push_back(p);
  }
  return {draw, std::move(records), std::move(positions)};
}

Batch make_checked_batch(const StreamSpec& spec, std::int64_t step) {
  const PhaseScope phase(Phase::data);
  const ProfileScope profile("make_batch");
  const auto [draw, records, positions] = checked_draw(spec, step);
  Batch batch = with_labels(*spec.images, records);
  for (std::size_t view = 0; view < spec.views.size(); ++view) {
    batch.views.push_back(augmented(*spec.images, spec.views[view], augment_key(spec, int(view)),
                                    records, positions, spec.dtype));
  }
  return batch.to(spec.device);
}

}  // namespace

Batch Batch::to(Device device) const {
  if (labels.device() == device) return *this;
  const MemoryScope scope(MemoryUse::data);
  const ProfileScope profile("batch_to_device");
  Batch moved = *this;
  for (Tensor& view : moved.views) view = view.to(device);
  moved.labels = labels.to(device);
  moved.items = items.to(device);
  return moved;
}

BatchPlan batch_plan(const StreamSpec& spec) {
  require(spec.sampler != nullptr, "loader: expected a sampler, got none");
  return {spec.sampler->epoch_length(), spec.batch_size, parse_last_batch(spec.last_batch)};
}

BatchDraw draw_batch(const StreamSpec& spec, std::int64_t step) {
  check(spec);
  return checked_draw(spec, step);
}

kernels::AugmentKey augment_key(const StreamSpec& spec, int view) {
  return {.seed = spec.seed,
          .purpose = std::uint32_t(spec.purpose),
          .epoch = 0,
          .view = std::uint32_t(view)};
}

Batch make_batch(const StreamSpec& spec, std::int64_t step) {
  check(spec);
  return make_checked_batch(spec, step);
}

Batch whole(const ImageSet& images, std::span<const std::int64_t> records,
            const kernels::AugmentSpec& augment, DType dtype, Device device) {
  require(augment.height == images.height && augment.width == images.width,
          "whole: expected a pipeline for images of {} x {}, got one for {} x {} (width x height)",
          images.width, images.height, augment.width, augment.height);
  const std::vector<std::int64_t> index(records.begin(), records.end());
  std::vector<std::int64_t> positions;
  for (const std::int64_t record : index) {
    require(record >= 0 && record < images.count(), "whole: expected records below {}, got {}",
            images.count(), record);
    positions.push_back(std::int64_t(positions.size()));
  }
  Batch batch = with_labels(images, index);
  batch.views = {augmented(images, augment, {}, index, positions, dtype)};
  return batch.to(device);
}

struct Loader::State {
  State(StreamSpec s, std::int64_t first_step, int depth)
      : spec(std::move(s)), prefetch(depth), next_step(first_step) {
    check(spec);
    require(first_step >= 0, "loader: expected a first step of 0 or more, got {}", first_step);
    require(prefetch >= 0, "loader: prefetch: expected 0 or more, got {}", prefetch);
    if (prefetch > 0) thread = std::thread([this] { run(); });
  }

  ~State() {
    {
      const std::scoped_lock lock(mutex);
      stop = true;
    }
    changed.notify_all();
    if (thread.joinable()) thread.join();
  }

  void run() {
    omp_set_num_threads(1);  // for this thread alone: the cores belong to the training step
    try {
      for (std::int64_t step = next_step;; ++step) {
        Batch batch = make_checked_batch(spec, step);
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stop || int(ready.size()) < prefetch; });
        if (stop) return;
        ready.push_back(std::move(batch));
        changed.notify_all();
      }
    } catch (...) {
      const std::scoped_lock lock(mutex);
      error = std::current_exception();
      changed.notify_all();
    }
  }

  Batch next() {
    if (prefetch == 0) return make_checked_batch(spec, next_step++);
    const PhaseScope phase(Phase::data);
    const ProfileScope profile("wait_for_batch");
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !ready.empty() || error; });
    if (ready.empty()) std::rethrow_exception(error);
    Batch batch = std::move(ready.front());
    ready.pop_front();
    changed.notify_all();
    return batch;
  }

  StreamSpec spec;
  int prefetch;
  std::int64_t next_step;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Batch> ready;
  std::exception_ptr error;
  bool stop = false;
  std::thread thread;
};

Loader::Loader(StreamSpec spec, std::int64_t first_step, int prefetch)
    : state_(std::make_unique<State>(std::move(spec), first_step, prefetch)) {}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

Batch Loader::next() {
  return state_->next();
}

}  // namespace ek
