#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/ops.h"
#include "engine/training/params.h"

namespace ek {

// Which statistics the batch norms of a pass normalise with, by their names ("layer1.0.bn2").
class Statistics {
 public:
  enum class Kind : std::uint8_t {
    batch,          // those of the batch, towards which the running ones move
    batch_unmoved,  // those of the batch; the running ones stay
    running,        // the running ones, as in evaluation
  };
  Statistics(Kind of_all = Kind::batch) : of_all_(of_all) {}

  // For batch norms whose name matches the pattern (as in optim.groups); later calls win.
  Statistics& set(std::string pattern, Kind kind);
  Kind of(std::string_view norm) const;

 private:
  Kind of_all_;
  std::vector<std::pair<std::string, Kind>> exceptions_;
};

// The numbers of a network during one pass: parameters, running statistics, and what the pass has
// to say about the latter. Networks read it and note the statistics of each batch norm.
class Weights {
 public:
  Weights(Params params, Params buffers, Statistics rule = {});

  // The parameter PREFIX + name, where PREFIX is what below() was given; Error with the nearest
  // name.
  const Tensor& operator[](std::string_view name) const;
  const Params& params() const { return all_->params; }
  const Params& buffers() const { return all_->buffers; }

  // The running statistics that batch norm `norm` normalises with; nothing: the batch's own.
  std::optional<ops::ChannelStats> running(std::string_view norm) const;
  // What batch norm `norm` normalised with. Error where that was one value per channel, of which
  // there is no unbiased variance.
  void note(std::string_view norm, const ops::PreNorm& normalised);

  // The same numbers with names below a prefix ("experts.1."); notes are shared.
  Weights below(std::string_view prefix) const;

  // Whether any batch norm moved.
  bool moved() const { return !all_->noted.empty(); }
  // The buffers after the pass: (1 - momentum) old + momentum * batch, with the unbiased variance,
  // for batch norms that moved; not recorded on any tape.
  Params buffers_after(double momentum = 0.1) const;

 private:
  struct Noted {
    std::string name;
    ops::ChannelStats stats;
    std::int64_t rows;
  };
  struct All {
    Params params, buffers;
    Statistics rule;
    std::vector<Noted> noted;
  };
  std::string full(std::string_view name) const { return prefix_ + std::string(name); }

  std::shared_ptr<All> all_;
  std::string prefix_;
};

}  // namespace ek
