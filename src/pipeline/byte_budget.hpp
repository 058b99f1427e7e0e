#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <utility>

namespace m2b {

/// Bounds the bytes between spool and store, whatever the backlog. Nobody waits in here: who got
/// nothing is told by a later release(), once it is worth waking up for. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(std::size_t bytes) : total_(bytes), free_(bytes) {}

  /// Takes the bytes if they are free; more than there are at all need all of them.
  [[nodiscard]] bool try_acquire(std::size_t bytes) {
    const std::size_t share = std::min(bytes, total_);
    const std::lock_guard lock(mutex_);
    if (free_ < share) {
      somebody_waits_ = true;
      return false;
    }
    free_ -= share;
    return true;
  }

  /// With the same number as try_acquire(). True when somebody got nothing and an eighth is free
  /// now: room for several small ones, and the others are enough to work on meanwhile.
  [[nodiscard]] bool release(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    free_ += std::min(bytes, total_);
    return free_ >= total_ / kWorthTelling && std::exchange(somebody_waits_, false);
  }

  /// Whether somebody got nothing and was not told of room since.
  [[nodiscard]] bool is_used_up() {
    const std::lock_guard lock(mutex_);
    return somebody_waits_;
  }

 private:
  static constexpr std::size_t kWorthTelling = 8;

  const std::size_t total_;
  std::mutex mutex_;  // guards the fields below
  std::size_t free_;
  bool somebody_waits_ = false;
};

}  // namespace m2b
