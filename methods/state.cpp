#include "methods/state.h"

#include <algorithm>
#include <utility>

#include "engine/io/text.h"
#include "methods/inputs.h"

namespace ek {
namespace {

std::vector<std::string> names_of(const std::vector<Part>& parts) {
  std::vector<std::string> names;
  for (const Part& part : parts) names.push_back(part.decl.name);
  return names;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(
      patterns, [&](const std::string& pattern) { return matches_group_pattern(pattern, name); });
}

// The entries that match, or those that do not, over a flat buffer of their own.
Params chosen(const Params& params, const std::vector<std::string>& patterns, bool matching) {
  std::vector<Params::Entry> entries;
  for (const Params::Entry& entry : params) {
    if (matches_any(patterns, entry.name) == matching) entries.push_back(entry);
  }
  return Params(std::move(entries)).flattened();
}

// `params` in their order, with the tensors of `a` or `b`.
Params joined(const Params& params, const Params& a, const Params& b) {
  std::vector<Params::Entry> entries;
  for (const Params::Entry& entry : params) {
    entries.push_back({entry.name, a.contains(entry.name) ? a[entry.name] : b[entry.name]});
  }
  return Params(std::move(entries));
}

void require_known_patterns(const std::vector<std::string>& patterns, const Params& params,
                            const std::string& part) {
  for (const std::string& pattern : patterns) {
    const bool known = std::ranges::any_of(params.entries(), [&](const Params::Entry& entry) {
      return matches_group_pattern(pattern, entry.name);
    });
    require(known, "part {}: '{}' matches none of its parameters", part, pattern);
  }
}

// Gives a part that learns its optimiser, and splits its storage where only some of it learns.
void prepare(Part& part) {
  const auto* learns = std::get_if<Learns>(&part.decl.motion);
  if (!learns) return;
  part.learned = part.params;
  if (!learns->only.empty()) {
    require_known_patterns(learns->only, part.params, part.decl.name);
    const Params chosen_ones = chosen(part.params, learns->only, true);
    if (chosen_ones.size() < part.params.size()) {
      part.learned = chosen_ones;
      part.constant = chosen(part.params, learns->only, false);
      part.params = joined(part.params, part.learned, part.constant);
    }
  }
  part.optimizer = make_optimizer(learns->optimizer);
  part.segments = optimizer_segments(part.learned, learns->optimizer.weight_decay, learns->groups);
}

}  // namespace

std::vector<Params> Part::flat_buffers() const {
  if (params.empty()) return {};
  return constant.empty() ? std::vector{params} : std::vector{learned, constant};
}

State::State(const std::vector<PartDecl>& decls, std::uint64_t seed, DType dtype, Device device,
             const Inputs& inputs) {
  for (const PartDecl& decl : decls) {
    require(!contains(decl.name), "state: part {} is declared twice", decl.name);
    Part part(decl);
    if (const auto* copy = std::get_if<CopyOf>(&decl.start)) {
      const Part& from = (*this)[copy->part];
      part.params = from.params.clone();
      part.buffers = from.buffers.clone();
    } else {
      const auto* own = std::get_if<FromSeed>(&decl.start);
      part.params = init_params(decl.params, seed, dtype, own ? own->view : 0);
      part.buffers = init_params(decl.buffers, 0, dtype);
      if (const auto* from = std::get_if<FromInput>(&decl.start)) {
        inputs.fill(part.params, part.buffers, *from);
      }
      part.params = part.params.to(device);
      part.buffers = part.buffers.to(device);
    }
    if (const auto* follows = std::get_if<Follows>(&decl.motion)) {
      require_same_structure(part.params, params(follows->part),
                             fmt::format("part {}, which follows {}", decl.name, follows->part));
    }
    prepare(part);
    parts_.push_back(std::move(part));
  }
}

bool State::contains(std::string_view part) const {
  return std::ranges::any_of(parts_, [&](const Part& p) { return p.decl.name == part; });
}

const Part& State::operator[](std::string_view part) const {
  const auto found =
      std::ranges::find_if(parts_, [&](const Part& p) { return p.decl.name == part; });
  if (found == parts_.end()) {
    const auto names = names_of(parts_);
    fail("state: there is no part '{}' (there are: {}){}", part, fmt::join(names, ", "),
         did_you_mean(part, names));
  }
  return *found;
}

Part& State::mutable_part(std::string_view part) {
  return const_cast<Part&>(std::as_const(*this)[part]);
}

const Tensor& State::tensor(std::string_view part, std::string_view name) const {
  return params(part)[name];
}

void State::update(std::string_view name, const Params& gradient, const Step& step) {
  Part& part = mutable_part(name);
  require(part.learns(), "state: part {} does not learn, a gradient came", name);
  const std::optional<double>& own = std::get<Learns>(part.decl.motion).optimizer.lr;
  part.optimizer->step(part.learned, flat_gradient(gradient),
                       own ? Number(*own) : step.learning_rate, part.segments, step.count);
}

void State::update_buffers(std::string_view name, const Params& buffers) {
  Part& part = mutable_part(name);
  require_same_structure(part.buffers, buffers, fmt::format("buffers of part {}", name));
  if (buffers.device() == Device{}) {
    part.buffers = buffers;
  } else {
    assign(part.buffers, buffers);
  }
}

void State::write(std::string_view name, const Params& values) {
  Part& part = mutable_part(name);
  assign(part.params, values.to(part.params.dtype()).to(part.params.device()));
}

void State::write(std::string_view part, const Tensor& value, std::string_view name) {
  write(part, Params({{std::string(name), value}}));
}

void State::follow() {
  for (Part& part : parts_) {
    const auto* follows = std::get_if<Follows>(&part.decl.motion);
    if (!follows) continue;
    std::vector<Params::Blend> blends;
    for (const auto& [name, tensor] : params(follows->part)) {
      blends.push_back({name, tensor, 1 - follows->momentum});
    }
    assign(part.params, part.params.blended(follows->momentum, blends));
  }
}

State State::to(DType dtype, Device device) const {
  State moved;
  for (const Part& part : parts_) {
    Part copy(part.decl);
    copy.params = part.params.to(Device{}).to(dtype).to(device);
    if (!part.buffers.empty()) copy.buffers = part.buffers.to(Device{}).to(dtype).to(device);
    prepare(copy);
    moved.parts_.push_back(std::move(copy));
  }
  return moved;
}

}  // namespace ek
