#pragma once
#include <cstdint>
#include <string>

namespace ek {

// How a test's JPEG file is coded; the defaults are those of the library.
struct JpegCoding {
  enum class Colour { grey, rgb, ycc, cmyk, ycck };

  Colour colour = Colour::ycc;
  int width = 33, height = 31;  // no multiples of a block or of a unit of 16 pixels
  int across = 2, down = 2;     // sampling of the first component; the others have 1 x 1
  int quality = 90;
  bool progressive = false, arithmetic = false, optimised = false;
  bool many_scans = false;   // grey: each bit of each coefficient in a scan of its own, 256 in all
  int restart_units = 0;     // units between restart markers, 0: none
  bool adobe_marker = true;  // for CMYK and YCCK
};

// The file of a picture with edges, slopes and noise, the same on every machine.
std::string write_jpeg(const JpegCoding& coding);

}  // namespace ek
