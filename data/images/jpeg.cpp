#include "data/images/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include "kernels/base/error.h"

namespace ek {
namespace {

using Bytes = std::span<const std::uint8_t>;

// Ten scans are usual. Each costs a pass over the picture, whatever its length in the file.
constexpr int scan_limit = 100;

struct Errors {
  jpeg_error_mgr base;  // first, so that the library's pointer is one to the whole
  std::jmp_buf jump;
  int code;
  char message[JMSG_LENGTH_MAX];
};

Errors& errors_of(j_common_ptr info) {
  return *reinterpret_cast<Errors*>(info->err);
}

[[noreturn]] void on_error(j_common_ptr info) {
  Errors& errors = errors_of(info);
  errors.code = errors.base.msg_code;
  errors.base.format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

// Level -1 is a warning. The library goes on with invented data after most of them.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM) return;
  on_error(info);
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= scan_limit) return;
  Errors& errors = errors_of(info);
  errors.code = JMSG_NOMESSAGE;
  std::snprintf(errors.message, sizeof errors.message, "more than %d scans", scan_limit);
  std::longjmp(errors.jump, 1);
}

class Decompressor {
 public:
  Decompressor(const std::string& name, Bytes bytes) : name_(name) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.base.emit_message = on_message;
    progress_.progress_monitor = on_progress;
    call([&] {
      jpeg_create_decompress(&info_);
      info_.progress = &progress_;
      jpeg_mem_src(&info_, bytes.data(), static_cast<unsigned long>(bytes.size()));
    });
  }
  ~Decompressor() { jpeg_destroy_decompress(&info_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  // Runs calls into the library. Its errors jump back here over `calls`, which therefore must not
  // hold anything that needs a destructor.
  template <class F>
  void call(const F& calls) {
    if (setjmp(errors_.jump) != 0) refuse();
    calls();
  }

  jpeg_decompress_struct& info() { return info_; }

 private:
  [[noreturn]] void refuse() const {
    const bool early = errors_.code == JWRN_JPEG_EOF || errors_.code == JWRN_HIT_MARKER ||
                       errors_.code == JERR_INPUT_EOF;
    fail("{}: {} JPEG: {}", name_, early ? "truncated" : "damaged or unsupported", errors_.message);
  }

  const std::string& name_;
  jpeg_decompress_struct info_{};
  Errors errors_{};
  jpeg_progress_mgr progress_{};
};

std::string_view process_of(int marker) {
  switch (marker) {
    case 0xC3:
      return "lossless";
    case 0xC5:
    case 0xC6:
    case 0xC7:
      return "hierarchical";
    case 0xC9:
    case 0xCA:
    case 0xCB:
    case 0xCD:
    case 0xCE:
    case 0xCF:
      return "arithmetic-coded";
    default:
      return "";
  }
}

// Refuses processes by name. What the library supports depends on its version and on how it was
// built, and what this engine reads should not. Anything odd on the way is left to the library.
void check_process(const std::string& name, Bytes bytes) {
  for (std::size_t at = 2; at + 4 < bytes.size();) {
    const int marker = bytes[at + 1];
    if (bytes[at] != 0xFF || marker == 0xFF || marker == 0x00) {
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) return;  // first scan, end
    const bool frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) {
      const std::string_view process = process_of(marker);
      require(process.empty(), "{}: {} JPEG, expected a baseline or progressive one", name,
              process);
      require(bytes[at + 4] == 8, "{}: JPEG with {} bits a sample, expected 8", name,
              bytes[at + 4]);
      return;
    }
    const bool alone = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);  // without a length
    at += 2 + (alone ? 0 : std::size_t(bytes[at + 2]) * 256 + bytes[at + 3]);
  }
}

// Stored inks are inverted. Rounds as PIL does.
void rgb_of_inks(const std::uint8_t* stored, std::uint8_t* rgb, std::int64_t width) {
  for (std::int64_t x = 0; x < width; ++x, stored += 4, rgb += 3) {
    const int light = stored[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - stored[c]) * light + 128;
      rgb[c] = std::uint8_t(std::max(0, light - (((product >> 8) + product) >> 8)));
    }
  }
}

}  // namespace

bool is_jpeg(Bytes bytes) {
  return bytes.size() >= 4 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

Image decode_jpeg(const std::string& name, Bytes bytes) {
  check_process(name, bytes);
  Decompressor library(name, bytes);
  jpeg_decompress_struct& info = library.info();
  library.call([&] { jpeg_read_header(&info, TRUE); });
  const std::int64_t width = info.image_width, height = info.image_height;
  require_image_size(name, width, height);
  const bool inks = info.num_components == 4;
  require(inks || info.num_components == 1 || info.num_components == 3,
          "{}: JPEG with {} components, expected 1, 3 or 4", name, info.num_components);
  info.out_color_space = inks ? JCS_CMYK : JCS_RGB;

  library.call([&] { jpeg_start_decompress(&info); });
  Image image{height, width, std::vector<std::uint8_t>(std::size_t(height * width * 3))};
  std::vector<std::uint8_t> stored(inks ? std::size_t(width * 4) : 0);
  for (std::int64_t y = 0; y < height; ++y) {
    std::uint8_t* rgb = image.pixels.data() + y * width * 3;
    std::uint8_t* line = inks ? stored.data() : rgb;
    library.call([&] { jpeg_read_scanlines(&info, &line, 1); });
    if (inks) rgb_of_inks(stored.data(), rgb, width);
  }
  library.call([&] { jpeg_finish_decompress(&info); });
  return image;
}

}  // namespace ek
