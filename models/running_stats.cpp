#include "models/running_stats.h"

#include "engine/profile/profiler.h"

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
  const LayerScope layer("running_stats");
  std::vector<Params::Blend> blends;
  for (const Noted& n : noted_) {
    const double unbiased = double(n.rows) / double(n.rows - 1);
    blends.push_back({n.name + ".running_mean", n.stats.mean, momentum});
    blends.push_back({n.name + ".running_var", n.stats.var, momentum * unbiased});
  }
  return buffers_.blended(1 - momentum, blends);
}

}  // namespace ek
