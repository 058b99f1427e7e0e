#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace m2b {

/// Where the spool lives and how much it may take.
struct SpoolOptions {
  std::filesystem::path directory = "/var/lib/mqtt-to-blob";
  /// Bytes that waiting records may occupy on disk; 0: as much as the file system has above the
  /// floor.
  std::uint64_t max_bytes = 0;
  /// Free space that stays on the file system; unset: 256 MiB, or a twentieth of the file system if
  /// that is less.
  std::optional<std::uint64_t> min_free_bytes = std::nullopt;
};

}  // namespace m2b
