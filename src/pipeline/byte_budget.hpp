#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>

namespace m2b {

/// Bounds the bytes between spool and store, whatever the backlog. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(std::size_t bytes) : total_(bytes), free_(bytes) {}

  /// Waits until the bytes are free; more than there are at all wait for all. False when stopping.
  [[nodiscard]] bool acquire(std::size_t bytes, const std::stop_token& stop) {
    const std::size_t share = std::min(bytes, total_);
    std::unique_lock lock(mutex_);
    if (!released_.wait(lock, stop, [&] { return free_ >= share; })) {
      return false;
    }
    free_ -= share;
    return true;
  }

  /// With the same number as acquire().
  void release(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    free_ += std::min(bytes, total_);
    released_.notify_all();
  }

 private:
  const std::size_t total_;
  std::mutex mutex_;  // guards free_
  std::condition_variable_any released_;
  std::size_t free_;
};

}  // namespace m2b
