#include "engine/training/params.h"

#include <cmath>

#include "engine/autodiff/fused.h"
#include "engine/autodiff/tape.h"
#include "engine/io/text.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"
#include "engine/training/weight_packs.h"
#include "kernels/elementwise.h"
#include "kernels/pieces.h"

namespace ek {
namespace {

// Parameters, their gradients and buffers keep at least float32 beside bfloat16 activations.
void refuse_bfloat16(DType dtype, std::string_view name) {
  require(dtype != DType::bfloat16, "params: '{}' is bfloat16, float32 or float64 is wanted", name);
}

}  // namespace

Params::Params(std::vector<Entry> entries) : entries_(std::move(entries)) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const auto& [name, tensor] = entries_[i];
    require(tensor.defined(), "params: '{}' is undefined", name);
    refuse_bfloat16(tensor.dtype(), name);
    require(tensor.dtype() == entries_[0].tensor.dtype(), "params: '{}' is {}, '{}' is {}", name,
            name_of(tensor.dtype()), entries_[0].name, name_of(entries_[0].tensor.dtype()));
    require(tensor.device() == entries_[0].tensor.device(), "params: '{}' is on {}, '{}' is on {}",
            name, tensor.device().str(), entries_[0].name, entries_[0].tensor.device().str());
    require(index_.emplace(name, i).second, "params: '{}' is there twice", name);
  }
}

Params Params::over(const Tensor& flat) const {
  require(flat.numel() == numel(), "params: a flat buffer of {} elements for {} parameters",
          flat.numel(), numel());
  refuse_bfloat16(flat.dtype(), "flat buffer");
  Params result;
  std::int64_t begin = 0;
  for (const auto& [name, tensor] : entries_) {
    result.entries_.push_back({name, flat.slice(begin, tensor.shape())});
    begin += tensor.numel();
  }
  result.index_ = index_;
  result.flat_ = flat.view({flat.numel()});
  return result;
}

Params Params::zeros_like(MemoryUse use) const {
  if (empty()) return {};
  MemoryScope scope(use);
  return over(Tensor::zeros({numel()}, dtype(), entries_[0].tensor.device()));
}

Params Params::flattened(MemoryUse use) const {
  if (empty()) return {};
  MemoryScope scope(use);
  ProfileScope profile(
      "flatten", [&] { return fmt::format("[{}]", numel()); }, 0,
      2 * double(numel()) * double(size_of(dtype())));
  Params result = over(Tensor::empty({numel()}, dtype(), entries_[0].tensor.device()));
  if (fuses_launches_on(result.flat_.device())) {
    dispatch_floating("flatten", result.flat_, [&]<class B, class T>() {
      std::vector<kernels::Piece<T>> pieces;
      std::int64_t begin = 0;
      for (const Entry& entry : entries_) {
        const Tensor& tensor = entry.tensor;
        pieces.push_back({tensor.data<T>(), begin, tensor.numel()});
        begin += tensor.numel();
      }
      kernels::gather_pieces<B, T>(current_stream(), pieces, result.flat_.output<T>());
    });
    return result;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Tensor& source = entries_[i].tensor;
    copy_memory(result.flat_.device(), result.entries_[i].tensor.output_raw(), source.device(),
                source.raw(), source.bytes());
  }
  return result;
}

Params Params::blended(double keep, const std::vector<Blend>& blends) const {
  if (empty()) return {};
  std::vector<std::int64_t> begins;
  std::int64_t begin = 0, covered = 0;
  for (const Entry& entry : entries_) {
    begins.push_back(begin);
    begin += entry.tensor.numel();
  }
  for (const auto& [name, towards, factor] : blends) {
    const Tensor& old = (*this)[name];
    require(towards.shape() == old.shape() && towards.device() == old.device(),
            "params: '{}' is {} on {}, it cannot move towards {} on {}", name, old.shape().str(),
            old.device().str(), towards.shape().str(), towards.device().str());
    covered += old.numel();
  }
  const Params old = is_flat() ? *this : flattened(MemoryUse::other);
  const Tensor& from = old.flat_;
  const MemoryScope scope(MemoryUse::other);
  Tensor to =
      covered == from.numel() ? Tensor::empty(from.shape(), dtype(), from.device()) : from.clone();
  ProfileScope profile(
      "blend", [&] { return to.shape().str(); }, 3 * double(covered), 3 * double(to.bytes()));
  dispatch_floating("blend", to, [&]<class B, class T>() {
    std::vector<kernels::Piece<T>> pieces;
    for (const Blend& blend : blends) {
      const std::int64_t at = begins[index_.find(blend.name)->second];
      const Tensor& towards = blend.towards;
      pieces.push_back({towards.data<T>(), at, towards.numel(), blend.factor});
    }
    kernels::blend_pieces<B, T>(current_stream(), pieces, keep, from.data<T>(), to.output<T>());
  });
  return over(to);
}

std::int64_t Params::numel() const {
  std::int64_t total = 0;
  for (const Entry& entry : entries_) total += entry.tensor.numel();
  return total;
}

DType Params::dtype() const {
  require(!empty(), "params: empty, so without a dtype");
  return entries_[0].tensor.dtype();
}

Device Params::device() const {
  return empty() ? Device{} : entries_[0].tensor.device();
}

bool Params::contains(std::string_view name) const {
  return index_.find(name) != index_.end();
}

const Tensor& Params::operator[](std::string_view name) const {
  const auto it = index_.find(name);
  if (it == index_.end()) {
    std::vector<std::string> names;
    for (const Entry& entry : entries_) names.push_back(entry.name);
    fail("params: there is no '{}'{}", name, did_you_mean(name, names));
  }
  return entries_[it->second].tensor;
}

std::int64_t Params::offset(std::string_view name) const {
  std::int64_t begin = 0;
  for (const Entry& entry : entries_) {
    if (entry.name == name) return begin;
    begin += entry.tensor.numel();
  }
  fail("params: there is no '{}'", name);
}

const Tensor& Params::flat() const {
  require(is_flat(), "params: {} tensors that are not views into one flat buffer", size());
  return flat_;
}

Tensors Params::tensors() const {
  Tensors result;
  for (const Entry& entry : entries_) result.push_back(entry.tensor);
  return result;
}

Params Params::with(const Tensors& tensors) const {
  require(tensors.size() == entries_.size(), "params: {} tensors for {} names", tensors.size(),
          entries_.size());
  Params result;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    require(tensors[i].shape() == entries_[i].tensor.shape(), "params: '{}' has shape {}, {} came",
            entries_[i].name, entries_[i].tensor.shape().str(), tensors[i].shape().str());
    refuse_bfloat16(tensors[i].dtype(), entries_[i].name);
    result.entries_.push_back({entries_[i].name, tensors[i]});
  }
  result.index_ = index_;
  return result;
}

Params Params::only(std::string_view prefix) const {
  std::vector<Entry> chosen;
  for (const Entry& entry : entries_) {
    if (entry.name.starts_with(prefix)) chosen.push_back(entry);
  }
  require(!chosen.empty(), "params: no name starts with '{}'", prefix);
  return Params(std::move(chosen));
}

Params Params::to(DType dtype) const {
  std::vector<Entry> converted;
  for (const Entry& entry : entries_) converted.push_back({entry.name, entry.tensor.to(dtype)});
  return Params(std::move(converted)).flattened();
}

Params Params::to(Device device) const {
  if (empty() || (is_flat() && flat_.device() == device)) return *this;
  if (is_flat()) {
    MemoryScope scope(MemoryUse::parameters);
    return over(flat_.to(device));
  }
  std::vector<Entry> moved;
  for (const Entry& entry : entries_) moved.push_back({entry.name, entry.tensor.to(device)});
  return Params(std::move(moved)).flattened();
}

Params Params::clone() const {
  return flattened();
}

void require_same_structure(const Params& a, const Params& b, std::string_view who) {
  require(a.size() == b.size(), "{}: {} parameters against {}", who, a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto& x = a.entries()[i];
    const auto& y = b.entries()[i];
    require(x.name == y.name && x.tensor.shape() == y.tensor.shape(),
            "{}: parameter {} is '{}' {} on one side and '{}' {} on the other", who, i, x.name,
            x.tensor.shape().str(), y.name, y.tensor.shape().str());
  }
}

Params add_scaled(const Params& params, const Number& scale, const Params& direction) {
  require_same_structure(params, direction, "add_scaled");
  if (params.empty()) return params;
  const Device here = params.entries()[0].tensor.device();
  const Device there = direction.entries()[0].tensor.device();
  require(here == there, "add_scaled: parameters on {}, a direction on {}", here.str(),
          there.str());
  if (recording(params.tensors()) || recording(direction.tensors())) {
    Tensors sums;
    for (std::size_t i = 0; i < params.size(); ++i) {
      sums.push_back(
          ops::add(params.entries()[i].tensor, ops::affine(direction.entries()[i].tensor, scale)));
    }
    return params.with(sums);
  }
  const kernels::Scalar by = scale.on(here, "add_scaled");
  const Params x = params.is_flat() ? params : params.flattened();
  const Params d = direction.is_flat() ? direction : direction.flattened(MemoryUse::gradients);
  MemoryScope scope(MemoryUse::parameters);
  Tensor sum = Tensor::empty(x.flat().shape(), x.dtype(), x.flat().device());
  ProfileScope profile(
      "add_scaled", [&] { return sum.shape().str(); }, 2 * double(sum.numel()),
      3 * double(sum.bytes()));
  dispatch_floating("add_scaled", sum, [&]<class B, class T>() {
    T* y = sum.output<T>();
    if constexpr (fuses_launches<B> && std::is_same_v<T, float>) {
      PackSet packs = PackSet::for_copy(x.flat(), sum);
      if (!packs.empty() && !packs.is_new()) {
        auto step = [&]<class Image>(std::span<const kernels::PackJob> jobs) {
          kernels::add_scaled_and_pack<B, Image>(current_stream(), sum.numel(), jobs,
                                                 x.flat().data<T>(), by, d.flat().data<T>(), y);
        };
        packs.run<B>(step, y);
        return std::move(packs).attach_to(sum);
      }
      kernels::add_scaled<B, T>(current_stream(), sum.numel(), x.flat().data<T>(), by,
                                d.flat().data<T>(), y);
      packs.write(sum);  // all of them, as later steps write but what changes
      return std::move(packs).attach_to(sum);
    }
    kernels::add_scaled<B, T>(current_stream(), sum.numel(), x.flat().data<T>(), by,
                              d.flat().data<T>(), y);
  });
  return params.over(sum);
}

void assign(Params& to, const Params& from) {
  require_same_structure(to, from, "assign");
  const auto copy = [](Tensor x, const Tensor& y) {
    require(x.dtype() == y.dtype() && x.device() == y.device(),
            "assign: {} on {} cannot take {} on {}", name_of(x.dtype()), x.device().str(),
            name_of(y.dtype()), y.device().str());
    copy_memory(x.device(), x.mutable_raw("assign"), y.device(), y.raw(), y.bytes());
  };
  if (to.is_flat() && from.is_flat()) return copy(to.flat(), from.flat());
  for (std::size_t i = 0; i < to.size(); ++i) {
    copy(to.entries()[i].tensor, from.entries()[i].tensor);
  }
}

double dot(const Params& a, const Params& b) {
  require_same_structure(a, b, "dot");
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Tensor x = a.entries()[i].tensor.to(Device{});
    const Tensor y = b.entries()[i].tensor.to(Device{});
    dispatch_floating("dot", x, [&]<class B, class T>() {
      const T* p = x.data<T>();
      const T* q = y.data<T>();
      for (std::int64_t j = 0; j < x.numel(); ++j) total += double(p[j]) * double(q[j]);
    });
  }
  return total;
}

double norm(const Params& a) {
  return std::sqrt(dot(a, a));
}

}  // namespace ek
