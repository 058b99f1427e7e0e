#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "m2b/encryption/key_ring.hpp"

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
  /// Bytes that dead letters may occupy on disk; the oldest go first. 0: no limit; unset: 1 GiB, or
  /// a tenth of the file system if that is less.
  std::optional<std::uint64_t> dead_letter_max_bytes = std::nullopt;
  /// How long dead letters are kept, in running time of the bridge; 0: no limit.
  std::chrono::seconds dead_letter_max_age{0};
  /// Of what is written there: topics, payloads, and why letters are dead.
  KeyRing keys = {};
};

}  // namespace m2b
