#pragma once
#include <optional>
#include <string>

#include "engine/ops.h"
#include "models/model.h"

namespace ek {

// The running statistics of the batch norms of one forward pass: hands out those of evaluation
// mode, collects the batch's in training mode, under "NAME.running_mean" and "NAME.running_var".
class RunningStats {
 public:
  RunningStats(const Params& buffers, Mode mode) : buffers_(buffers), mode_(mode) {}

  // The running statistics of batch norm `name` in evaluation mode, nothing in training mode.
  std::optional<ops::ChannelStats> of(const std::string& name) const;

  // Notes what batch norm `name` normalised `y` with.
  void note(const std::string& name, const ops::PreNorm& normalised);

  // The buffers after the pass: (1 - momentum) old + momentum * batch, with the unbiased variance,
  // not recorded on any tape; in evaluation mode those passed in. Error if a batch norm saw a
  // single value per channel, of which there is no unbiased variance.
  Params updated(double momentum = 0.1) const;

 private:
  struct Noted {
    std::string name;
    ops::ChannelStats stats;
    std::int64_t rows;
  };
  const Params& buffers_;
  Mode mode_;
  std::vector<Noted> noted_;
};

}  // namespace ek
