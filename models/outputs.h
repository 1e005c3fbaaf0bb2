#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor/tensor.h"

namespace ek {

// What a network gives, by name and in order: "logits" [B, C], "features" [B, F], ...
class Outputs {
 public:
  using Entry = std::pair<std::string, Tensor>;
  Outputs() = default;
  Outputs(std::initializer_list<Entry> entries) : entries_(entries) {}

  void add(std::string name, Tensor tensor) {
    entries_.emplace_back(std::move(name), std::move(tensor));
  }
  bool contains(std::string_view name) const;
  // Error naming those that there are.
  const Tensor& operator[](std::string_view name) const;
  const Tensor& logits() const { return (*this)["logits"]; }

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace ek
