#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kernels/augment.h"

namespace ek {

// Named augmentation pipelines (docs/protocol.md), recipe key `augment`:
//   cifar-basic     zero-pad 4, random crop, flip; constants cifar-a
//   cifar-reflect   reflect-pad 4, random crop, flip; constants cifar-mwn
//   cifar-cdb       as cifar-basic with constants imagenet
//   cifar-dn-plain  reflect-pad 4, then zero-pad 4, random crop, flip; constants cifar-dn
//   eval            nothing; constants cifar-a
// and normalisation constants, recipe key `normalize` ("" takes the pipeline's own):
//   cifar-a, cifar-mwn, cifar-dn, imagenet, inaturalist, and half (mean 0.5, std 0.25).
// Error listing the names for an unknown one, and by name for those of the literature that this
// version lacks; Error when an image is too small for the reflected border.
kernels::AugmentSpec pipeline_spec(std::string_view name, std::string_view normalize,
                                   std::int64_t height, std::int64_t width);

// The evaluation transform that goes with training pipeline `name`: its constants, no augmentation.
kernels::AugmentSpec eval_spec(std::string_view name, std::string_view normalize,
                               std::int64_t height, std::int64_t width);

std::vector<std::string> pipeline_names();
std::vector<std::string> normalization_names();

}  // namespace ek
