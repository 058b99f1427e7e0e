#pragma once

#include <chrono>
#include <cstdint>

namespace m2b {

/// Hands out so many units a second: a token bucket, kept as the schedule of its shares. Who asks
/// is given a share at once, with the time from which it may be used. Shares follow each other in
/// the order of the asking, so nobody starves; and one that is used late takes nothing from the
/// others. By any time since the first request, what may have been used is never above
/// per_second × time + burst(). Pure: the time is passed in. Not thread-safe.
class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  struct Share {
    std::uint64_t units = 0;  // at least 1
    Clock::time_point at;     // in the past where nothing has to be waited for
  };

  /// `per_second` is above 0. What is above 2^60 counts as 2^60.
  explicit TokenBucket(std::uint64_t per_second) noexcept;

  /// A share of at most `wanted` (above 0): 20 ms worth, but so much smaller for many who wait that
  /// each has a turn about once a second. `waiting` counts those whose share's time has not come,
  /// the one who asks among them. `now` never goes back.
  [[nodiscard]] Share take(std::uint64_t wanted, std::uint64_t waiting,
                           Clock::time_point now) noexcept;

  /// One share, and 100 ms worth where somebody came late and makes up for it. After a rest of a
  /// second there is nothing to make up for, so that from there on it is one share alone.
  [[nodiscard]] std::uint64_t burst() const noexcept;

 private:
  [[nodiscard]] std::uint64_t largest_share(std::uint64_t waiting) const noexcept;
  [[nodiscard]] std::chrono::nanoseconds time_of(std::uint64_t units) noexcept;

  const std::uint64_t per_second_;
  Clock::time_point next_at_ = Clock::time_point::min();  // of the next share
  std::uint64_t remainder_ = 0;  // of the last division, in units × ns: errors must not add up
};

}  // namespace m2b
