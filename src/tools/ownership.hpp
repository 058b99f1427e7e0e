#pragma once

#include <filesystem>

namespace m2b {

/// As root: gives what is in a spool's folder to whom the folder belongs. A daemon of another user
/// could not open what root made there. Does nothing for other users. Throws
/// std::filesystem::filesystem_error.
void give_to_owner_of(const std::filesystem::path& folder);

}  // namespace m2b
