#include "models/model.h"

namespace ek {

ModelOutput Model::forward(const Params& params, const Params& buffers, const Tensor& x,
                           Mode mode) const {
  Weights weights(params, buffers,
                  mode == Mode::train ? Statistics::Kind::batch : Statistics::Kind::running);
  const Outputs out = forward(weights, x);
  return {out.logits(), out["features"], weights.buffers_after()};
}

}  // namespace ek
