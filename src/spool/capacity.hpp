#pragma once

#include <chrono>
#include <cstdint>

#include "m2b/spool/spool.hpp"

namespace m2b {

/// The limits of SpoolOptions with defaults filled in; bytes.
struct CapacityLimits {
  std::uint64_t max_bytes = 0;  // 0: no cap
  std::uint64_t min_free_bytes = 0;
};

/// What is taken at the moment; bytes.
struct CapacityUsage {
  std::uint64_t live_bytes = 0;  // pages that hold waiting records, their tree included
  std::uint64_t file_bytes =
      0;  // of the spool's file: it never shrinks, freed pages are used again
  std::uint64_t disk_free_bytes = 0;
  bool empty = true;  // no record waits
};

/// Pages of the file that appends leave alone when the disk has nothing more to give, so that
/// deleting still works: LMDB copies the pages that a deletion changes.
inline constexpr std::uint64_t kDeletionHeadroomBytes = std::uint64_t{1} << 20;

/// Whether a message of `need` bytes may be appended. A message that is larger than the cap, or
/// than what the floor leaves, still passes an empty spool, or it could never pass.
[[nodiscard]] Intake admit(const CapacityLimits& limits, const CapacityUsage& usage,
                           std::uint64_t need) noexcept;

/// The size of LMDB's map for a spool with that cap (0: none), in bytes. Address space only: the
/// file grows as it is used. Growing the map later would need every reader to stop, so it is large
/// from the start.
[[nodiscard]] std::uint64_t map_bytes_for(std::uint64_t max_bytes,
                                          std::uint64_t file_system_bytes) noexcept;

/// The floor where none is configured: 256 MiB, or a twentieth of the file system if that is less.
[[nodiscard]] std::uint64_t default_min_free_bytes(std::uint64_t file_system_bytes) noexcept;

/// How much may be kept of what can never be an object.
struct LetterLimits {
  std::uint64_t max_bytes = 0;      // 0: no limit
  std::chrono::seconds max_age{0};  // 0: no limit
};

/// The most that dead letters take where nothing is configured: 1 GiB, or a tenth of the file
/// system if that is less.
[[nodiscard]] std::uint64_t default_letter_bytes(std::uint64_t file_system_bytes) noexcept;

}  // namespace m2b
