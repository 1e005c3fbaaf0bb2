#include <cmath>

#include "tests/simt/executor/example_row_norms.h"

namespace ek::kernels::example {

template <class B, class T>
void row_norms(Stream, std::int64_t rows, std::int64_t columns, const T* x, T* norms) {
#pragma omp parallel for
  for (std::int64_t i = 0; i < rows; ++i) {
    T sum = 0;
    for (std::int64_t j = 0; j < columns; ++j) sum += x[i * columns + j] * x[i * columns + j];
    norms[i] = std::sqrt(sum);
  }
}

template decltype(row_norms<Cpu, float>) row_norms<Cpu, float>;
template decltype(row_norms<Cpu, double>) row_norms<Cpu, double>;

}  // namespace ek::kernels::example
