#include "m2b/util/token_bucket.hpp"

#include <algorithm>

namespace m2b {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMaxPerSecond = std::uint64_t{1} << 60U;
constexpr std::chrono::nanoseconds kCredit = 100ms;
constexpr std::chrono::nanoseconds kRest = 1s;
constexpr std::uint64_t kCreditsPerSecond = 1s / kCredit;
constexpr std::uint64_t kSharesPerSecond = 50;
/// Less would be more header than content on the wire, and more than a socket takes at a time would
/// keep time_of() from computing in 64 bits.
constexpr std::uint64_t kMinShare = 1024;
constexpr std::uint64_t kMaxShare = 256 * kMinShare;

}  // namespace

TokenBucket::TokenBucket(std::uint64_t per_second) noexcept
    : per_second_(std::clamp(per_second, std::uint64_t{1}, kMaxPerSecond)) {}

TokenBucket::Share TokenBucket::take(std::uint64_t wanted, std::uint64_t waiting,
                                     Clock::time_point now) noexcept {
  Share share;
  share.units = std::min(wanted, largest_share(waiting));
  // After a rest nobody has anything to make up for.
  share.at = next_at_ < now - kRest ? now : std::max(next_at_, now - kCredit);
  next_at_ = share.at + time_of(share.units);
  return share;
}

std::uint64_t TokenBucket::burst() const noexcept {
  return per_second_ / kCreditsPerSecond + largest_share(1);
}

std::uint64_t TokenBucket::largest_share(std::uint64_t waiting) const noexcept {
  const std::uint64_t usual = std::clamp(per_second_ / kSharesPerSecond, kMinShare, kMaxShare);
  const std::uint64_t in_a_round = per_second_ / std::max(waiting, std::uint64_t{1});
  return std::max(std::min(usual, in_a_round), std::uint64_t{1});
}

std::chrono::nanoseconds TokenBucket::time_of(std::uint64_t units) noexcept {
  constexpr std::uint64_t kNanoseconds = std::nano::den;
  const std::uint64_t product = units * kNanoseconds + remainder_;
  remainder_ = product % per_second_;
  return std::chrono::nanoseconds(product / per_second_);
}

}  // namespace m2b
