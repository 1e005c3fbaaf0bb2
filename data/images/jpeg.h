#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/images/image_file.h"

namespace ek {

bool is_jpeg(std::span<const std::uint8_t> bytes);

// The bytes of a JPEG file, baseline or progressive with 8 bits a sample, as RGB: libjpeg-turbo
// with its defaults (exact integer transform, smooth upsampling), so every pixel is that of djpeg
// and PIL. Grey is spread to three channels; CMYK and YCCK are taken as inverted, with Adobe's
// marker or without, and multiplied with black, as PIL does. EXIF orientation is ignored.
//
// Error with `name` and the reason: arithmetic-coded, lossless and hierarchical files, other
// precisions, other numbers of components, sides above image_side_limit, missing tables, truncated
// or damaged data, more than 100 scans. Two flaws that leave the picture whole pass: bytes between
// two segments that belong to neither, and unknown version numbers.
Image decode_jpeg(const std::string& name, std::span<const std::uint8_t> bytes);

}  // namespace ek
