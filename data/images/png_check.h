#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace ek {

bool is_png(std::span<const std::uint8_t> bytes);

// What the decoder takes on trust: chunks that are whole with checksums that match, a header that
// the format allows, sides within the limit, and at most one palette, there where the colour type
// wants it. Error naming the file and what is wrong with it.
void check_png(const std::string& name, std::span<const std::uint8_t> bytes);

// How many colours the palette of a checked PNG lacks of as many as its indices can name; 0 where
// its pixels are no indices.
std::int64_t missing_colours(std::span<const std::uint8_t> bytes);
// A checked PNG with indexed colours, its palette filled up to 256 with grey of that level. For the
// decoder, which looks at no checksums: that of the palette is not made anew.
std::string with_full_palette(std::span<const std::uint8_t> bytes, std::uint8_t grey);

}  // namespace ek
