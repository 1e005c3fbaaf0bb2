#include "engine/training/weight_packs.h"

#include <algorithm>
#include <utility>

#include "engine/profile/profiler.h"

namespace ek {
namespace {

// The places of a key.
enum Field : std::size_t { at_offset, at_images, at_pass, at_shape };

kernels::PackJob job_of(const Companions::Key& key) {
  const std::int64_t* s = key.data() + at_shape;
  return {.shape = {.batch = 1,
                    .in_h = s[0],
                    .in_w = s[1],
                    .in_c = s[2],
                    .out_c = s[3],
                    .kernel_h = s[4],
                    .kernel_w = s[5],
                    .stride_h = s[6],
                    .stride_w = s[7],
                    .pad_h = s[8],
                    .pad_w = s[9],
                    .groups = s[10],
                    .products = kernels::FloatProducts(s[11])},
          .pass = kernels::Conv2dPass(key[at_pass]),
          .begin = key[at_offset],
          .pack = nullptr};
}

std::size_t bytes_of(const Companions::Key& key, Device device) {
  const kernels::PackJob job = job_of(key);
  std::size_t bytes = 0;
  dispatch_device("conv2d_pack", device, [&]<class B>() {
    bytes = DType(key[at_images]) == DType::bfloat16
                ? kernels::conv2d_pack_bytes<B, bf16>(job.shape, job.pass)
                : kernels::conv2d_pack_bytes<B, float>(job.shape, job.pass);
  });
  return bytes;
}

// Packs of the weights within `flat`, which may be a part of its storage.
bool within(const Companions::Key& key, const Tensor& flat) {
  const std::int64_t begin = key[at_offset] - flat.offset();
  return begin >= 0 && begin + job_of(key).shape.weight_size() <= flat.numel();
}

std::vector<Companions::Key> keys_of(const Tensor& flat) {
  Storage& storage = *flat.storage();
  std::vector<Companions::Key> keys = storage.companions.keys(storage.version);
  std::erase_if(keys, [&](const Companions::Key& key) { return !within(key, flat); });
  return keys;
}

}  // namespace

Companions::Key pack_key(std::int64_t offset, DType images, const kernels::Conv2dShape& g,
                         kernels::Conv2dPass pass) {
  return {offset,
          std::int64_t(images),
          std::int64_t(pass),
          g.in_h,
          g.in_w,
          g.in_c,
          g.out_c,
          g.kernel_h,
          g.kernel_w,
          g.stride_h,
          g.stride_w,
          g.pad_h,
          g.pad_w,
          g.groups,
          std::int64_t(g.products)};
}

std::vector<Companions::Key> pack_keys(const Tensor& flat) {
  return PackSet::serves(flat) ? keys_of(flat) : std::vector<Companions::Key>{};
}

void write_packs(const Tensor& flat, const std::vector<Companions::Key>& keys) {
  PackSet packs = PackSet::of_kinds(flat, keys);
  packs.write(flat);
  std::move(packs).attach_to(flat);
}

void drop_packs(const Tensor& flat) {
  flat.storage()->companions.clear();
}

bool PackSet::serves(const Tensor& flat) {
  return flat.dtype() == DType::float32 && fuses_launches_on(flat.device());
}

PackSet PackSet::taken_from(const Tensor& flat, std::uint64_t version) {
  PackSet set;
  if (!serves(flat)) return set;
  set.offset_ = flat.offset();
  set.packs_ = flat.storage()->companions.take(version);
  std::erase_if(set.packs_, [&](const auto& entry) { return !within(entry.first, flat); });
  return set;
}

PackSet PackSet::for_copy(const Tensor& flat, const Tensor& copy) {
  if (!serves(flat)) return {};
  std::vector<Companions::Key> keys = keys_of(flat);
  for (Companions::Key& key : keys) key[at_offset] += copy.offset() - flat.offset();
  return made_for(copy, std::move(keys), &flat);
}

PackSet PackSet::for_direction(const Tensor& flat, const Tensor& direction) {
  if (!serves(flat)) return {};
  std::vector<Companions::Key> keys = keys_of(flat);
  std::erase_if(keys, [](const Companions::Key& key) {
    return kernels::Conv2dPass(key[at_pass]) != kernels::Conv2dPass::forward;
  });
  for (Companions::Key& key : keys) key[at_offset] += direction.offset() - flat.offset();
  return made_for(direction, std::move(keys), nullptr);
}

PackSet PackSet::of_kinds(const Tensor& flat, std::vector<Companions::Key> keys) {
  PackSet set;
  set.offset_ = flat.offset();
  set.is_new_ = true;
  const MemoryScope scope(MemoryUse::workspace);
  // Each with a block of its own: who writes the weights takes those that nobody else holds.
  for (const Companions::Key& key : keys) {
    set.packs_[key] = allocate(flat.device(), bytes_of(key, flat.device()));
  }
  return set;
}

PackSet PackSet::made_for(const Tensor& to, std::vector<Companions::Key> keys,
                          const Tensor* spare_of) {
  PackSet set;
  set.offset_ = to.offset();
  if (keys.empty()) return set;
  constexpr std::size_t alignment = 256;
  std::vector<std::size_t> begins;
  std::size_t bytes = 0;
  for (const Companions::Key& key : keys) {
    begins.push_back(bytes);
    bytes += (bytes_of(key, to.device()) + alignment - 1) / alignment * alignment;
  }
  Companions::Spare block{nullptr, true};
  if (spare_of) {
    block = spare_of->storage()->companions.spare(keys, to.device(), bytes);
  } else {
    const MemoryScope scope(MemoryUse::workspace);
    block.memory = allocate(to.device(), bytes);
  }
  set.is_new_ = block.is_new;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    // Part of the block, which lives as long as one of them.
    set.packs_[keys[i]] = std::shared_ptr<void>(
        block.memory, static_cast<std::byte*>(block.memory.get()) + begins[i]);
  }
  return set;
}

std::vector<kernels::PackJob> PackSet::jobs(DType images) const {
  std::vector<kernels::PackJob> jobs;
  for (const auto& [key, memory] : packs_) {
    if (DType(key[at_images]) != images) continue;
    kernels::PackJob job = job_of(key);
    job.begin -= offset_;
    job.pack = memory.get();
    jobs.push_back(job);
  }
  return jobs;
}

void PackSet::write(const Tensor& flat) const {
  if (empty()) return;
  const ProfileScope profile("write_packs", [&] { return flat.shape().str(); });
  dispatch_device("write_packs", flat.device(), [&]<class B>() {
    const float* weights = flat.data<float>();
    auto step = [&]<class T>(std::span<const kernels::PackJob> some) {
      kernels::write_packs<B, T>(current_stream(), some, weights);
    };
    run<B>(step, weights);
  });
}

void PackSet::attach_to(const Tensor& flat) && {
  if (empty()) return;
  Storage& storage = *flat.storage();
  storage.companions.put(storage.version, std::move(packs_));
}

}  // namespace ek
