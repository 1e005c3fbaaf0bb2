#include "data/images/jpeg.h"

#include <csetjmp>
#include <cstdio>

extern "C" {
#include <jpeglib.h>
}

#include "kernels/base/error.h"

namespace ek {
namespace {

// The library's errors end here: it jumps, so nothing between here and there has a destructor.
struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf at_error;
  char message[JMSG_LENGTH_MAX];
};

ErrorManager& manager_of(j_common_ptr info) {
  return *reinterpret_cast<ErrorManager*>(info->err);
}

void stop(j_common_ptr info) {
  ErrorManager& manager = manager_of(info);
  (*info->err->format_message)(info, manager.message);
  std::longjmp(manager.at_error, 1);
}

// A warning (level -1) is damaged or missing data: no picture either.
void on_message(j_common_ptr info, int level) {
  if (level < 0) stop(info);
}

struct Decoder {
  jpeg_decompress_struct info{};
  ErrorManager errors{};

  Decoder() {
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = stop;
    errors.base.emit_message = on_message;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
};

std::uint8_t times(std::uint8_t a, std::uint8_t b) {
  return std::uint8_t((unsigned(a) * b + 127) / 255);
}

// Four inks to RGB, in place of the row's first three quarters.
void rgb_of_inks(const std::uint8_t* inks, std::uint8_t* rgb, std::int64_t width, bool inverted) {
  for (std::int64_t x = 0; x < width; ++x) {
    std::uint8_t light[4];
    for (int i = 0; i < 4; ++i) {
      const std::uint8_t ink = inks[4 * x + i];
      light[i] = inverted ? ink : std::uint8_t(255 - ink);
    }
    for (int i = 0; i < 3; ++i) rgb[3 * x + i] = times(light[i], light[3]);
  }
}

}  // namespace

Image decode_jpeg(const std::string& name, std::span<const std::uint8_t> bytes) {
  Decoder decoder;
  jpeg_decompress_struct& info = decoder.info;
  Image image;
  std::vector<std::uint8_t> row;
  const auto fail_here = [&] { fail("{}: cannot be decoded: {}", name, decoder.errors.message); };

  if (setjmp(decoder.errors.at_error) != 0) fail_here();
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&info, TRUE);
  const std::int64_t width = info.image_width, height = info.image_height;
  const bool inks = info.num_components == 4;
  require(width >= 1 && height >= 1 && width <= image_side_limit && height <= image_side_limit,
          "{}: expected sides of 1 to {} pixels, got {} x {} (width x height)", name,
          image_side_limit, width, height);
  info.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  image = {height, width, std::vector<std::uint8_t>(std::size_t(height * width * 3))};
  row.resize(inks ? std::size_t(width * 4) : 0);
  if (setjmp(decoder.errors.at_error) != 0) fail_here();
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    std::uint8_t* to = image.pixels.data() + std::int64_t(info.output_scanline) * width * 3;
    std::uint8_t* line = inks ? row.data() : to;
    jpeg_read_scanlines(&info, &line, 1);
    if (inks) rgb_of_inks(row.data(), to, width, info.saw_Adobe_marker);
  }
  jpeg_finish_decompress(&info);
  return image;
}

}  // namespace ek
