#include "methods/step.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ek {
namespace {

template <class List, class Name>
const auto& find(const List& list, Name name, std::string_view wanted, const char* what) {
  const auto found = std::ranges::find(list, wanted, name);
  if (found == list.end()) {
    std::vector<std::string> known;
    for (const auto& entry : list) known.push_back(entry.*name);
    fail("step: there is no {} '{}' (there are: {})", what, wanted, fmt::join(known, ", "));
  }
  return *found;
}

}  // namespace

const Batch& Step::operator[](std::string_view stream) const {
  return find(batches, &NamedBatch::stream, stream, "stream").batch;
}

const Number& Step::number(std::string_view name) const {
  return find(numbers, &NamedNumber::name, name, "number").value;
}

const Tensor& Step::indices(std::string_view name) const {
  return find(index_lists, &NamedIndices::name, name, "list of indices").indices;
}

}  // namespace ek
