#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "data/images/dataset.h"
#include "data/longtail.h"

// What `ek-data` does, one function per subcommand. Results go to stdout.
namespace ek {

struct DescribeOptions {
  std::string data;
  bool json = false;
};
void describe_data(const DescribeOptions& options, std::uint64_t seed);

struct MakeLongTailOptions {
  std::string data, out;
  SplitSpec split;
};
// Writes the selected training images, in the order of the source, and the whole test set in the
// source's own format (class folders become PNG; synthetic data becomes CIFAR-10's layout), the
// class names and manifest.json. Held-out images go beside the training images: meta.bin,
// meta_batch.bin or meta/CLASS. All or nothing.
void make_long_tail(const MakeLongTailOptions& options, std::uint64_t seed);

struct SynthesizeOptions {
  std::string name = "shapes", format = "cifar", out;
};
void synthesize_data(const SynthesizeOptions& options, std::uint64_t seed);

struct PreviewOptions {
  std::string data, out;
  std::int64_t columns = 10, rows = 20, zoom = 2;
};
// A contact sheet, one class a row: the first `columns` training images of the first `rows`
// classes that have any.
void preview_data(const PreviewOptions& options, std::uint64_t seed);

}  // namespace ek
