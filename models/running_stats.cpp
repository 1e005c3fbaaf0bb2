#include "models/running_stats.h"

#include "engine/profiler.h"
#include "engine/tape.h"

namespace ek {

std::optional<ops::ChannelStats> RunningStats::of(const std::string& name) const {
  if (mode_ == Mode::train) return std::nullopt;
  return ops::ChannelStats{buffers_[name + ".running_mean"], buffers_[name + ".running_var"]};
}

void RunningStats::note(const std::string& name, const ops::PreNorm& normalised) {
  if (mode_ == Mode::eval) return;
  const Shape& shape = normalised.y.shape();
  const std::int64_t rows = shape.numel() / shape.back();
  require(rows > 1, "{}: training needs more than one value per channel, got {}", name,
          shape.str());
  noted_.push_back({name, normalised.stats, rows});
}

Params RunningStats::updated(double momentum) const {
  if (mode_ == Mode::eval) return buffers_;
  const NoRecording plain_arithmetic;
  const LayerScope layer("running_stats");
  std::vector<Params::Entry> entries = buffers_.entries();
  auto move_towards = [&](const std::string& name, const Tensor& batch, double factor) {
    for (Params::Entry& entry : entries) {
      if (entry.name != name) continue;
      entry.tensor =
          ops::add(ops::affine(entry.tensor, 1 - momentum), ops::affine(batch, momentum * factor));
    }
  };
  for (const Noted& n : noted_) {
    move_towards(n.name + ".running_mean", n.stats.mean, 1);
    move_towards(n.name + ".running_var", n.stats.var, double(n.rows) / double(n.rows - 1));
  }
  return Params(std::move(entries)).flattened(MemoryUse::other);
}

}  // namespace ek
