#pragma once
#include <filesystem>

#include "data/images/dataset.h"

namespace ek {

// Class folders: train/CLASS/IMAGE and test/CLASS/IMAGE, PNG or JPEG. Classes are numbered in
// alphabetical order of the folders under train/, images come class by class in alphabetical order
// of their file names. Files with other extensions are ignored.

// True when the folder has a folder train/ that holds folders.
bool is_class_folder(const std::filesystem::path& folder);

// Error when test/ is missing, a training class has no image, a test class is not a training
// class, an image cannot be decoded (named), or two images differ in size (both named).
DataSource load_folders(const std::filesystem::path& folder);

// Writes PNG files named after the record, PART/CLASS/000012.png, into a folder that is being made
// (write_folder in data/images/files.h).
// Error when a class name cannot be a folder name.
void save_folders(const DataSource& source, const std::filesystem::path& folder);
void save_class_folders(const ImageSet& images, const std::vector<std::string>& class_names,
                        const std::filesystem::path& part);

}  // namespace ek
