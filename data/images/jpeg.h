#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/images/image_file.h"

namespace ek {

// A JPEG file's bytes as 8-bit RGB, by libjpeg with its own defaults (exact integer transform,
// smooth upsampling), which is what the field's image libraries give: grey is spread to three
// channels, CMYK and YCCK are converted by multiplying each ink with black, taken as inverted where
// the file has Adobe's marker. Error naming the file and the library's reason for what it cannot
// read, for a file that ends early and for one whose data is damaged.
Image decode_jpeg(const std::string& name, std::span<const std::uint8_t> bytes);

}  // namespace ek
