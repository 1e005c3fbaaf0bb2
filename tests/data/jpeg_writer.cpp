#include "tests/data/jpeg_writer.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include <jpeglib.h>

namespace ek {
namespace {

// Value of one component of the picture: a slope, an edge every five pixels, and noise of 5 bits.
std::uint8_t sample(int y, int x, int component) {
  std::uint32_t noise = std::uint32_t(y * 769 + x * 97 + component * 31 + 1) * 2654435761u;
  noise ^= noise >> 15;
  const int edge = (x / 5 + y / 7 + component) % 2 ? 90 : 0;
  return std::uint8_t((3 * x + (2 + component) * y + edge + int(noise & 31)) & 0xFF);
}

J_COLOR_SPACE stored(JpegCoding::Colour colour) {
  switch (colour) {
    case JpegCoding::Colour::grey:
      return JCS_GRAYSCALE;
    case JpegCoding::Colour::rgb:
      return JCS_RGB;
    case JpegCoding::Colour::ycc:
      return JCS_YCbCr;
    case JpegCoding::Colour::cmyk:
      return JCS_CMYK;
    case JpegCoding::Colour::ycck:
      return JCS_YCCK;
  }
  return JCS_UNKNOWN;
}

}  // namespace

// The library's own error handling ends the program, which is right for a test's own mistakes.
std::string write_jpeg(const JpegCoding& coding) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  const J_COLOR_SPACE space = stored(coding.colour);
  const bool inks = space == JCS_CMYK || space == JCS_YCCK, grey = space == JCS_GRAYSCALE;
  info.image_width = JDIMENSION(coding.width);
  info.image_height = JDIMENSION(coding.height);
  info.input_components = inks ? 4 : grey ? 1 : 3;
  info.in_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, space);
  jpeg_set_quality(&info, coding.quality, TRUE);
  for (int i = 0; i < info.num_components; ++i) {
    // The black of YCCK is sampled as its brightness is.
    const bool full = i == 0 || (space == JCS_YCCK && i == 3);
    info.comp_info[i].h_samp_factor = full ? coding.across : 1;
    info.comp_info[i].v_samp_factor = full ? coding.down : 1;
  }
  info.arith_code = coding.arithmetic ? TRUE : FALSE;
  info.optimize_coding = coding.optimised ? TRUE : FALSE;
  info.restart_interval = unsigned(coding.restart_units);
  if (inks) info.write_Adobe_marker = coding.adobe_marker ? TRUE : FALSE;
  if (coding.progressive) jpeg_simple_progression(&info);
  std::vector<jpeg_scan_info> script;
  if (coding.many_scans) {
    for (int bit = 3; bit >= 0; --bit) {
      for (int k = 0; k < 64; ++k) script.push_back({1, {0}, k, k, bit == 3 ? 0 : bit + 1, bit});
    }
    info.scan_info = script.data();
    info.num_scans = int(script.size());
  }
  jpeg_start_compress(&info, TRUE);
  std::vector<std::uint8_t> row(std::size_t(coding.width * info.input_components));
  for (int y = 0; y < coding.height; ++y) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = sample(y, int(i) / info.input_components, int(i) % info.input_components);
    }
    std::uint8_t* line = row.data();
    jpeg_write_scanlines(&info, &line, 1);
  }
  jpeg_finish_compress(&info);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return file;
}

}  // namespace ek
