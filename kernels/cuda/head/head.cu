#include "kernels/head.h"

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/head/head_rows.cuh"
#include "kernels/head_parts.h"

// The plain version of each function is a composition of the kernels of other families, up to seven
// launches; the fused ones are one launch (head_rows.cuh), by a warp or by a block for each row.
// Every team reads all weights, so fused versions are for heads whose weights stay in a cache;
// larger ones are better multiplied with in tiles, which the plain version does.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

enum Version { kPlain, kWarp, kBlock };  // as kernels/base/versions.cpp names them

constexpr std::int64_t kMostWeights = 1 << 17;
// So many warps occupy a large GPU; fewer rows get a block each.
constexpr std::int64_t kManyRows = 1024;

template <class TeamType>
bool fits(const HeadShape& s) {
  using Row = HeadRow<TeamType>;
  return s.channels <= Row::most_channels && s.classes <= Row::most_classes;
}

// Which version works on `rows` rows. `refusal` is what a call gets that names one which does not
// serve its type, its channels, its classes or its addresses.
template <class T, class Again>
Version version_of(const char* function, const char* refusal, const HeadShape& s, std::int64_t rows,
                   bool aligned, const Again& again) {
  constexpr int pack = 16 / int(sizeof(T));
  const bool packed = !std::is_same_v<T, double> && aligned && s.channels % pack == 0;
  const bool serves[] = {true, packed && fits<WarpTeam>(s), packed && fits<BlockTeam>(s)};
  const int named = named_version(function);
  if (named >= 0) {
    require_argument(serves[named], refusal, s.channels);
    return Version(named);
  }
  const Version rule = s.classes * s.channels > kMostWeights ? kPlain
                       : serves[kWarp] && rows >= kManyRows  ? kWarp
                       : serves[kBlock]                      ? kBlock
                                                             : kPlain;
  const unsigned served =
      1u | unsigned(serves[kWarp]) << kWarp | unsigned(serves[kBlock]) << kBlock;
  const Call call = call_of<T>(function, {s.batch, s.pixels, s.channels, s.classes, aligned});
  return Version(chosen(call, served, rule, again));
}

// Calls plain(), or fused(team, launch) with a value of the team's type.
template <class T, class Plain, class Fused>
void run(Version version, std::int64_t rows, Stream stream, const Plain& plain,
         const Fused& fused) {
  [[maybe_unused]] const auto by = [&]<class TeamType>(TeamType team) {
    const std::int64_t blocks = (rows + TeamType::teams_per_block - 1) / TeamType::teams_per_block;
    fused(team, Launch{dim3(unsigned(blocks)), dim3(unsigned(TeamType::block_threads)),
                       sizeof(HeadRows<TeamType>), stream});
  };
  if constexpr (!std::is_same_v<T, double>) {
    if (version == kWarp) return by(WarpTeam{});
    if (version == kBlock) return by(BlockTeam{});
  }
  plain();
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
std::size_t head_workspace_bytes(const HeadShape& shape) {
  return head_parts::workspace_bytes<Acc<T>>(shape);
}

template <class B, class T>
void head_forward(Stream stream, const HeadShape& s, const T* x, const HeadWeights<Acc<T>>& weights,
                  const SoftmaxLoss<Acc<T>>& loss, Acc<T>* features, Acc<T>* logits,
                  const SoftmaxLossOutputs<Acc<T>>& out, Workspace workspace) {
  using namespace EK_TARGET;
  const bool with_loss = head_parts::check_forward<Acc<T>>(s, loss, out, workspace);
  if (with_loss) check_softmax_loss(loss, out);
  if (s.batch == 0) return;
  const Version version = version_of<T>(
      "head_forward",
      "head_forward: expected a type, sizes and addresses that the fused version takes", s, s.batch,
      aligned_to_16(x, weights.weight),
      [&] { head_forward<B, T>(stream, s, x, weights, loss, features, logits, out, workspace); });
  run<T>(
      version, s.batch, stream,
      [&] {
        head_parts::forward<Backend, T>(stream, s, x, weights, loss, features, logits, out,
                                        with_loss, workspace);
      },
      [&](auto team, const Launch& shape) {
        launch<&forward_fused<decltype(team), T>>(shape, FusedShape(s), x, weights, loss,
                                                  math::softmax_shares(loss), with_loss, features,
                                                  logits, out);
      });
}

template <class B, class T>
void head_backward(Stream stream, const HeadShape& s, const Acc<T>* weight, const Acc<T>* dlogits,
                   Acc<T>* dfeatures, T* dx) {
  using namespace EK_TARGET;
  head_parts::check_shape("head_backward: expected batch >= 0 and other sizes >= 1", s);
  if (s.batch == 0) return;
  const Version version = version_of<T>(
      "head_backward",
      "head_backward: expected a type, sizes and addresses that the fused version takes", s,
      s.batch, aligned_to_16(weight, dx),
      [&] { head_backward<B, T>(stream, s, weight, dlogits, dfeatures, dx); });
  run<T>(
      version, s.batch, stream,
      [&] { head_parts::backward<Backend, T>(stream, s, weight, dlogits, dfeatures, dx); },
      [&](auto team, const Launch& shape) {
        launch<&backward_fused<decltype(team), T>>(shape, FusedShape(s), weight, dlogits, dfeatures,
                                                   dx);
      });
}

template <class B, class T>
void head_weight_gradients(Stream stream, const HeadShape& s, const T* features, const T* dlogits,
                           T* dweight, T* dbias) {
  using namespace EK_TARGET;
  head_parts::check_shape("head_weight_gradients: expected batch >= 0 and other sizes >= 1", s);
  const Version version = version_of<T>(
      "head_weight_gradients",
      "head_weight_gradients: expected a type, sizes and addresses that the fused version takes", s,
      s.classes, aligned_to_16(features),
      [&] { head_weight_gradients<B, T>(stream, s, features, dlogits, dweight, dbias); });
  run<T>(
      version, s.classes, stream,
      [&] {
        head_parts::weight_gradients<Backend, T>(stream, s, features, dlogits, dweight, dbias);
      },
      [&](auto team, const Launch& shape) {
        launch<&weight_gradients_fused<decltype(team)>>(shape, FusedShape(s), features, dlogits,
                                                        dweight, dbias);
      });
}

template <class B, class T>
void head_jvp(Stream stream, const HeadShape& s, const Acc<T>* weight, const Acc<T>* features,
              const Acc<T>* dlogits, const HeadTangents<T>& tangents,
              const HeadTangentOutputs<T>& out, Workspace workspace) {
  using namespace EK_TARGET;
  head_parts::check_jvp<Acc<T>>(s, workspace);
  if (s.batch == 0) return;
  const Version version = version_of<T>(
      "head_jvp", "head_jvp: expected a type, sizes and addresses that the fused version takes", s,
      s.batch, aligned_to_16(weight, features, tangents.x, tangents.weights.weight),
      [&] { head_jvp<B, T>(stream, s, weight, features, dlogits, tangents, out, workspace); });
  run<T>(
      version, s.batch, stream,
      [&] {
        head_parts::jvp<Backend, T>(stream, s, weight, features, dlogits, tangents, out, workspace);
      },
      [&](auto team, const Launch& shape) {
        launch<&jvp_fused<decltype(team), T>>(shape, FusedShape(s), weight, features, dlogits,
                                              tangents, out);
      });
}

using EK_TARGET::Backend;
template decltype(head_workspace_bytes<Backend, float>) head_workspace_bytes<Backend, float>;
template decltype(head_workspace_bytes<Backend, double>) head_workspace_bytes<Backend, double>;
template decltype(head_workspace_bytes<Backend, bf16>) head_workspace_bytes<Backend, bf16>;
template decltype(head_forward<Backend, float>) head_forward<Backend, float>;
template decltype(head_forward<Backend, double>) head_forward<Backend, double>;
template decltype(head_forward<Backend, bf16>) head_forward<Backend, bf16>;
template decltype(head_backward<Backend, float>) head_backward<Backend, float>;
template decltype(head_backward<Backend, double>) head_backward<Backend, double>;
template decltype(head_backward<Backend, bf16>) head_backward<Backend, bf16>;
template decltype(head_weight_gradients<Backend, float>) head_weight_gradients<Backend, float>;
template decltype(head_weight_gradients<Backend, double>) head_weight_gradients<Backend, double>;
template decltype(head_jvp<Backend, float>) head_jvp<Backend, float>;
template decltype(head_jvp<Backend, double>) head_jvp<Backend, double>;
template decltype(head_jvp<Backend, bf16>) head_jvp<Backend, bf16>;

}  // namespace ek::kernels
