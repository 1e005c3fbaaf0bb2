#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/images/image_file.h"

namespace ek {

bool is_bmp(std::span<const std::uint8_t> bytes);

// The bytes of a Windows or OS/2 bitmap as RGB: 1, 4 or 8 bits with a palette, 24 or 32 bits; rows
// from below or from above. A fourth byte per pixel is ignored. Error with `name` and the reason:
// compressed or of 16 bits, masks other than those of BGRX, sides above image_side_limit,
// truncated, a pixel outside the palette.
Image decode_bmp(const std::string& name, std::span<const std::uint8_t> bytes);

}  // namespace ek
