#pragma once
// Sums over the rows of a matrix, column by column, by one team.
#include "kernels/cuda/base/team.cuh"
#include "kernels/cuda/optim/packs.cuh"

namespace ek::kernels::EK_TARGET {

// Calls result(c, sum) for every column c in [0, channels), from one thread each; term(r, c, sum)
// adds what row r has in columns [c, c + N). Rows are dealt out to as many parts as the team has
// threads for, and the parts added in order: the bits depend on the sizes and the team alone.
// `result` may write sums[c], which the whole team sees afterwards. `sums` lies in
// shared memory and has max(channels, N * threads of the team) elements; N divides channels.
template <class TeamType, int N, class Term, class Result>
__device__ void add_rows(std::int64_t rows, int channels, float* sums, const Term& term,
                         const Result& result) {
  constexpr int threads = TeamType::threads;
  const int packs = channels / N, parts = packs < threads ? threads / packs : 1;
  for (int j = TeamType::rank(); j < parts * packs; j += threads) {
    const int part = j / packs, c = j % packs * N;
    Pack<float, N> sum = {};
    for (std::int64_t r = part; r < rows; r += parts) term(r, c, sum);
    store_pack<N>(sums + part * channels + c, sum);
  }
  TeamType::sync();
  for (int c = TeamType::rank(); c < channels; c += threads) {
    float total = sums[c];
    for (int part = 1; part < parts; ++part) total += sums[part * channels + c];
    result(c, total);
  }
  TeamType::sync();
}

}  // namespace ek::kernels::EK_TARGET
