#include "spool/capacity.hpp"

#include <algorithm>

namespace m2b {

Intake admit(const CapacityLimits& limits, const CapacityUsage& usage,
             std::uint64_t need) noexcept {
  if (limits.max_bytes != 0 && !usage.empty && usage.live_bytes + need > limits.max_bytes) {
    return Intake::at_cap;
  }
  const std::uint64_t kept = usage.live_bytes + kDeletionHeadroomBytes;
  const std::uint64_t reusable = usage.file_bytes > kept ? usage.file_bytes - kept : 0;
  if (need <= reusable) {
    return Intake::open;  // needs nothing of the disk, so the floor does not matter
  }
  const std::uint64_t growth = need - reusable;
  if (usage.disk_free_bytes >= limits.min_free_bytes + growth) {
    return Intake::open;
  }
  const bool passes_alone = usage.empty && usage.disk_free_bytes > limits.min_free_bytes &&
                            usage.disk_free_bytes > growth + kDeletionHeadroomBytes;
  return passes_alone ? Intake::open : Intake::at_floor;
}

std::uint64_t map_bytes_for(std::uint64_t max_bytes, std::uint64_t file_system_bytes) noexcept {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kSlack = std::uint64_t{1} << 30;
  // Twice the cap: free pages inside the file come on top of the live ones.
  const std::uint64_t bytes = (max_bytes != 0 ? 2 * max_bytes : file_system_bytes) + kSlack;
  return bytes / kPage * kPage;
}

std::uint64_t default_letter_bytes(std::uint64_t file_system_bytes) noexcept {
  constexpr std::uint64_t kUsualLimit = std::uint64_t{1} << 30;
  constexpr std::uint64_t kShare = 10;
  return std::min(kUsualLimit, file_system_bytes / kShare);
}

std::uint64_t default_min_free_bytes(std::uint64_t file_system_bytes) noexcept {
  constexpr std::uint64_t kUsualFloor = std::uint64_t{256} << 20;
  constexpr std::uint64_t kShare = 20;
  return std::min(kUsualFloor, file_system_bytes / kShare);
}

}  // namespace m2b
