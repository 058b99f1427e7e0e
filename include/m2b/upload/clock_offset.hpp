#pragma once

#include <atomic>
#include <chrono>
#include <limits>
#include <optional>

namespace m2b {

/// The difference between the store's clock and ours, shared by all connections: how much further
/// its clock is. What we sign with is corrected from the store's Date header when it refuses our
/// time (RequestTimeTooSkewed). Thread-safe.
class ClockOffset {
 public:
  [[nodiscard]] std::chrono::seconds get() const noexcept {
    return std::chrono::seconds(seconds_.load(std::memory_order_relaxed));
  }
  /// False when it was about the same before: nothing that is worth telling again.
  bool set(std::chrono::seconds offset) noexcept {
    constexpr Rep kSame = 60;
    const Rep before = seconds_.exchange(offset.count(), std::memory_order_relaxed);
    return before > offset.count() + kSame || before < offset.count() - kSame;
  }

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
};

}  // namespace m2b
