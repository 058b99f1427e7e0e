#pragma once

#include <atomic>
#include <chrono>

namespace m2b {

/// The difference between the store's clock and ours, shared by all connections. Corrected from the
/// store's Date header when it refuses our time (RequestTimeTooSkewed).
class ClockOffset {
 public:
  [[nodiscard]] std::chrono::seconds get() const noexcept {
    return std::chrono::seconds(seconds_.load(std::memory_order_relaxed));
  }
  void set(std::chrono::seconds offset) noexcept {
    seconds_.store(offset.count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<std::chrono::seconds::rep> seconds_{0};
};

}  // namespace m2b
