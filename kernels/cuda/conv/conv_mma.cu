// The version "mma" of the convolution: conv_mma.cuh.
#include "kernels/cuda/conv/conv_mma.cuh"

#include "kernels/base/arguments.h"
#include "kernels/cuda/conv/conv_versions.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

template <class Atom>
void run(Stream stream, const ConvProblem& p, const ConvSources<typename Atom::Element>& sources,
         typename Atom::Element* out) {
  const std::int64_t outputs = std::int64_t(p.batch) * p.rows(0).count * p.columns(0).count;
  const std::int64_t tiles = (outputs + MmaTile::kOutputs - 1) / MmaTile::kOutputs;
  const int column_tiles = (p.pack.blocks + MmaTile::kBlocks - 1) / MmaTile::kBlocks;
  const std::int64_t high = std::int64_t(p.pack.groups) * column_tiles;
  require_argument(tiles < (std::int64_t(1) << 31),
                   "conv2d: outputs for 2^31 tiles at most expected", outputs);
  require_argument(high < 65536, "conv2d: groups and channels for 65535 tiles expected", high);
  launch<&conv_mma<Atom>>({dim3(unsigned(tiles), unsigned(high), unsigned(p.classes())),
                           dim3(MmaTile::kThreads), sizeof(MmaTile), stream},
                          p, sources, out);
}

}  // namespace

template <>
void convolve_mma<Tf32Atom>(Stream stream, const ConvProblem& problem,
                            const ConvSources<float>& sources, float* out) {
  run<Tf32Atom>(stream, problem, sources, out);
}
template <>
void convolve_mma<SplitAtom>(Stream stream, const ConvProblem& problem,
                             const ConvSources<float>& sources, float* out) {
  run<SplitAtom>(stream, problem, sources, out);
}
template <>
void convolve_mma<Bf16Atom>(Stream stream, const ConvProblem& problem,
                            const ConvSources<bf16>& sources, bf16* out) {
  run<Bf16Atom>(stream, problem, sources, out);
}

}  // namespace ek::kernels::EK_TARGET
