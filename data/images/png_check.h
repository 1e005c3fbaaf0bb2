#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ek {

bool is_png(std::span<const std::uint8_t> bytes);

// Of a PNG file whose pixels are indices into a palette, the palette: 1 to 256 RGB triples; empty
// for other files.
using Palette = std::vector<std::uint8_t>;

// Checks what the decoder takes on trust: whole chunks whose checksums match, a header that the
// format allows and that comes first, sides up to image_side_limit, one palette where the colour
// type wants it, pixel data, no chunk that a reader must know and this one does not. Error with
// `name` and the fault.
Palette check_png(const std::string& name, std::span<const std::uint8_t> bytes);

// A checked file with a palette, in which colour i is (i, 0, 0), so that it decodes to its indices.
// Checksums are left out: the decoder does not look at them.
std::string with_indices_as_colours(std::span<const std::uint8_t> bytes);

}  // namespace ek
