#pragma once

#include <atomic>
#include <chrono>
#include <limits>
#include <optional>

#include "m2b/util/repetition.hpp"

namespace m2b {

/// Whether a time may be now: from 2020, before which this was not written, to 2099. No peer can
/// make us sign with another, which a store may not even be able to read.
[[nodiscard]] bool is_plausible_now(std::chrono::sys_seconds time) noexcept;

/// The difference between the store's clock and ours, shared by all connections: how much further
/// its clock is. What we sign with is corrected by it. Thread-safe.
class ClockOffset {
 public:
  /// Two times that are not further apart than this are the same to us.
  static constexpr std::chrono::seconds kSame{60};

  [[nodiscard]] std::chrono::seconds get() const noexcept {
    return std::chrono::seconds(seconds_.load(std::memory_order_relaxed));
  }
  /// From a request on which the store did not refuse with it. Logged when it is another.
  void adopt(std::chrono::seconds offset);

  /// What the last answer's Date header said, less the time it took to come.
  void saw(std::chrono::seconds offset) noexcept {
    seen_.store(offset.count(), std::memory_order_relaxed);
  }
  /// Nothing before the first answer.
  [[nodiscard]] std::optional<std::chrono::seconds> seen() const noexcept {
    const Rep seen = seen_.load(std::memory_order_relaxed);
    return seen == kNever ? std::nullopt : std::optional(std::chrono::seconds(seen));
  }

 private:
  using Rep = std::chrono::seconds::rep;
  static constexpr Rep kNever = std::numeric_limits<Rep>::min();

  std::atomic<Rep> seconds_{0};
  std::atomic<Rep> seen_{kNever};
  Repetition changes_{std::chrono::seconds(30), 4};
};

}  // namespace m2b
