#include "m2b/upload/bandwidth_limit.hpp"

#include "m2b/util/thread.hpp"

namespace m2b {

BandwidthLimit::BandwidthLimit(std::uint64_t bytes_per_second)
    : is_limited_(bytes_per_second != 0), bucket_(bytes_per_second) {}

std::size_t BandwidthLimit::take(std::size_t wanted, const std::stop_token& abort) {
  if (!is_limited_) return wanted;
  using Clock = TokenBucket::Clock;
  TokenBucket::Share share;
  Clock::duration wait{};
  {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    share = bucket_.take(wanted, ++waiting_, now);
    wait = share.at - now;
  }
  // Only this thread knows how long, so nobody has to wake it.
  const bool came = wait <= Clock::duration::zero() || sleep_for(wait, abort);
  const std::lock_guard lock(mutex_);
  --waiting_;
  return came ? static_cast<std::size_t>(share.units) : 0;
}

}  // namespace m2b
