#include "models/weights.h"

#include "engine/profile/profiler.h"
#include "engine/training/optim.h"

namespace ek {

Statistics& Statistics::set(std::string pattern, Kind kind) {
  exceptions_.emplace_back(std::move(pattern), kind);
  return *this;
}

Statistics::Kind Statistics::of(std::string_view norm) const {
  for (auto it = exceptions_.rbegin(); it != exceptions_.rend(); ++it) {
    if (matches_group_pattern(it->first, norm)) return it->second;
  }
  return of_all_;
}

Weights::Weights(Params params, Params buffers, Statistics rule)
    : all_(std::make_shared<All>(std::move(params), std::move(buffers), std::move(rule))) {}

const Tensor& Weights::operator[](std::string_view name) const {
  return prefix_.empty() ? all_->params[name] : all_->params[full(name)];
}

std::optional<ops::ChannelStats> Weights::running(std::string_view norm) const {
  const std::string name = full(norm);
  if (all_->rule.of(name) != Statistics::Kind::running) return std::nullopt;
  return ops::ChannelStats{all_->buffers[name + ".running_mean"],
                           all_->buffers[name + ".running_var"]};
}

void Weights::note(std::string_view norm, const ops::PreNorm& normalised) {
  const std::string name = full(norm);
  const Statistics::Kind kind = all_->rule.of(name);
  if (kind == Statistics::Kind::running) return;
  const Shape& shape = normalised.y.shape();
  const std::int64_t rows = shape.numel() / shape.back();
  require(rows > 1, "{}: training needs more than one value per channel, got {}", name,
          shape.str());
  if (kind == Statistics::Kind::batch) all_->noted.push_back({name, normalised.stats, rows});
}

Weights Weights::below(std::string_view prefix) const {
  Weights inner = *this;
  inner.prefix_ = full(prefix);
  return inner;
}

Params Weights::buffers_after(double momentum) const {
  if (!moved()) return all_->buffers;
  const LayerScope layer("running_stats");
  std::vector<Params::Blend> blends;
  for (const Noted& n : all_->noted) {
    const double unbiased = double(n.rows) / double(n.rows - 1);
    blends.push_back({n.name + ".running_mean", n.stats.mean, momentum});
    blends.push_back({n.name + ".running_var", n.stats.var, momentum * unbiased});
  }
  return all_->buffers.blended(1 - momentum, blends);
}

}  // namespace ek
