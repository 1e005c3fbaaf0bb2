#pragma once
#include <filesystem>

#include "data/images/dataset.h"

namespace ek {

// The binary layouts of CIFAR-10 and CIFAR-100 (docs/protocol.md). A record is one label byte
// (CIFAR-100: coarse, then fine), then the 32 x 32 red, green and blue planes, row-major.
//   CIFAR-10   data_batch_*.bin (any number of files, read in the order of their names),
//              test_batch.bin, batches.meta.txt with the class names
//   CIFAR-100  train.bin, test.bin, fine_label_names.txt, coarse_label_names.txt
// Files may hold any number of records and any subset of the classes. Without its names file a
// folder has classes named "0", "1", ...; CIFAR-100 always has 100 classes, CIFAR-10 as many as it
// has names, 10 without a names file.
inline constexpr std::int64_t cifar_side = 32;

// True when the folder holds a training or a test file of either layout.
bool is_cifar_folder(const std::filesystem::path& folder);

// Error naming the file when one is missing, empty or no whole number of records, and naming file
// and record when a label is out of range.
DataSource load_cifar(const std::filesystem::path& folder);

// Writes `source` into an existing folder, in the CIFAR-100 layout when its format is cifar100 and
// in the CIFAR-10 layout otherwise. Each file is written beside and renamed. Error when the images
// are not 32 x 32 or a label does not fit.
void save_cifar(const DataSource& source, const std::filesystem::path& folder);

// One file of records, for what has no place in the official layouts (held-out images).
void save_cifar_records(const ImageSet& images, DataSource::Format format,
                        const std::filesystem::path& file);

}  // namespace ek
