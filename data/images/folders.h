#pragma once
#include <filesystem>

#include "data/images/dataset.h"

namespace ek {

// Class folders: train/CLASS/IMAGE and test/CLASS/IMAGE, or val/CLASS/IMAGE where there is no
// test/; PNG, JPEG or BMP. Classes are numbered in the order of the bytes of their names, images
// come class by class in that order of their file names. Links are followed. Entries whose names
// begin with a dot are no data; whatever else is not read (other formats, folders inside class
// folders, links to files that lead nowhere) is counted in DataSource::notes.

// True when the folder has a folder train/ that holds folders, or links that should be some.
bool is_class_folder(const std::filesystem::path& folder);

// Error when there is neither test/ nor val/, a class is in one part alone or has no image in one,
// a link to a class folder leads nowhere, a class name is not UTF-8, an image cannot be decoded
// (named), or two images differ in size (both named).
DataSource load_folders(const std::filesystem::path& folder);

// Writes PNG files named after the record, PART/CLASS/000012.png, into a folder that is being made
// (write_folder in data/images/files.h).
// Error when a class name cannot be a folder name.
void save_folders(const DataSource& source, const std::filesystem::path& folder);
void save_class_folders(const ImageSet& images, const std::vector<std::string>& class_names,
                        const std::filesystem::path& part);

}  // namespace ek
