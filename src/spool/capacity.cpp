#include "spool/capacity.hpp"

#include <algorithm>
#include <utility>

namespace m2b {

namespace {

std::uint64_t free_bytes(const CapacityUsage& usage) noexcept {
  const std::uint64_t taken = usage.live_bytes + usage.pending_bytes;
  return usage.file_bytes > taken ? usage.file_bytes - taken : 0;
}

}  // namespace

Intake admit(const CapacityLimits& limits, const CapacityUsage& usage,
             std::uint64_t need) noexcept {
  if (limits.max_bytes != 0 && !usage.empty && usage.live_bytes + need > limits.max_bytes) {
    return Intake::at_cap;
  }
  const std::uint64_t kept = usage.gap_bytes + kDeletionHeadroomBytes;
  const std::uint64_t reusable = free_bytes(usage) > kept ? free_bytes(usage) - kept : 0;
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

SpoolRoom room_of(const CapacityLimits& limits, const CapacityUsage& usage) noexcept {
  const auto above = [](std::uint64_t value, std::uint64_t floor) {
    return value > floor ? value - floor : 0;
  };
  const std::uint64_t by_disk = above(free_bytes(usage), usage.gap_bytes + kDeletionHeadroomBytes) +
                                above(usage.disk_free_bytes, limits.min_free_bytes);
  if (limits.max_bytes == 0) {
    return {usage.live_bytes, by_disk, Intake::at_floor};
  }
  const std::uint64_t by_cap = above(limits.max_bytes, usage.live_bytes);
  return {usage.live_bytes, std::min(by_cap, by_disk),
          by_cap <= by_disk ? Intake::at_cap : Intake::at_floor};
}

void Gaps::expect(const CapacityUsage& before, std::uint64_t bytes,
                  std::uint64_t largest) noexcept {
  before_ = before;
  expected_bytes_ = bytes;
  expected_largest_ = largest;
}

void Gaps::learn(const CapacityUsage& after) noexcept {
  const std::uint64_t bytes = std::exchange(expected_bytes_, 0);
  if (after.empty) {
    gap_bytes_ = 0;
    return;
  }
  const std::uint64_t grown =
      after.file_bytes > before_.file_bytes ? after.file_bytes - before_.file_bytes : 0;
  // Some pages of the trees may be new as well, so a little says nothing.
  const bool most_is_new = bytes > 0 && grown > bytes / 2;
  if (most_is_new && free_bytes(before_) >= bytes) {
    gap_bytes_ = free_bytes(before_);
    least_bytes_ = expected_largest_;
  }
}

std::uint64_t Gaps::bytes(const CapacityUsage& usage, std::uint64_t message_bytes) const noexcept {
  return message_bytes >= least_bytes_ ? std::min(gap_bytes_, free_bytes(usage)) : 0;
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
