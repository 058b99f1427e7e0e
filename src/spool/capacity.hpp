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
  std::uint64_t live_bytes = 0;     // pages that hold waiting records, their tree included
  std::uint64_t pending_bytes = 0;  // freed pages that the next commit cannot use yet
  std::uint64_t gap_bytes = 0;      // free pages that are of no use for this message
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

/// What all messages together have taken and may still take, as admit() sees it.
[[nodiscard]] SpoolRoom room_of(const CapacityLimits& limits, const CapacityUsage& usage) noexcept;

/// A message's pages lie one behind the other, so free pages with too few of them in a row are of
/// no use for it. How many those are is learned from commits that made the file grow although it
/// had free pages enough.
class Gaps {
 public:
  /// A commit will append so many bytes, of messages of which the largest has `largest`.
  void expect(const CapacityUsage& before, std::uint64_t bytes, std::uint64_t largest) noexcept;
  /// What there is after it. An empty spool has no gaps.
  void learn(const CapacityUsage& after) noexcept;

  /// Of the free pages now, what a message of that size cannot use.
  [[nodiscard]] std::uint64_t bytes(const CapacityUsage& usage,
                                    std::uint64_t message_bytes) const noexcept;

 private:
  CapacityUsage before_;
  std::uint64_t expected_bytes_ = 0;    // of the commit that is not learned from yet
  std::uint64_t expected_largest_ = 0;  // message in it
  std::uint64_t gap_bytes_ = 0;
  std::uint64_t least_bytes_ = 0;  // of a message that could not use them
};

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
