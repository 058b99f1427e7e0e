#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "m2b/encryption/key_ring.hpp"

namespace m2b {

/// What repair_spool() did.
struct RepairReport {
  std::vector<std::string> set_aside = {};  // folders in `set-aside` that it added
  std::uint64_t taken_back = 0;             // messages of earlier ones that wait again
  std::uint64_t unreadable = 0;             // that are damaged there, and stay
  std::string failure = {};                 // why some had to stay; empty: none had to
};

/// Looks at every page of a spool that no process uses, mends what is damaged as a start does, and
/// takes back the messages for which a full disk had no room then: they wait again as if they had
/// just come. Needs no keys; with them, what stands in the clear is encrypted when it is taken
/// back. Throws SpoolInUse and SpoolError.
[[nodiscard]] RepairReport repair_spool(const std::filesystem::path& directory,
                                        const KeyRing& keys);

}  // namespace m2b
