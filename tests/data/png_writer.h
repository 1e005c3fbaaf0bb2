#pragma once
#include <cstdint>
#include <string>

// PNG files by hand, so that a test can break each part on its own: signature, chunks with right
// checksums, pixels stored without compression.
namespace ek::png {

inline const std::string signature = "\x89PNG\r\n\x1a\n";

std::string word(std::uint32_t value);  // big-endian
std::string chunk(const std::string& kind, const std::string& body);
std::string header(std::uint32_t width, std::uint32_t height, int bits, int colour,
                   int interlaced = 0);
// `rows` with their filter bytes as an IDAT chunk; at most 65535 bytes.
std::string pixels(const std::string& rows);
std::string end();

// A file with right chunk checksums again after its bytes were changed, as far as its chunks are
// whole. A decoder never sees most damage behind wrong ones.
std::string with_checksums(std::string file);

}  // namespace ek::png
