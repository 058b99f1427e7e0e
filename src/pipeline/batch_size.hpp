#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <mutex>

namespace m2b {

/// How many objects go in one batch. A batch that fails is sent twice, so on a line that breaks
/// often only small ones pay, or none at all: they begin small, double with each success, and after
/// failures they rest. Thread-safe.
class BatchSize {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// A batch costs two round trips; fewer objects are faster on their own.
  static constexpr std::size_t kLeast = 8;
  static constexpr std::size_t kFirst = 16;
  static constexpr std::size_t kMost = 200;
  static constexpr std::chrono::minutes kRest{1};

  /// The most that may go in one; below kLeast: none may.
  [[nodiscard]] std::size_t most(Time now) const {
    const std::lock_guard lock(mutex_);
    return now < rests_until_ ? 0 : most_;
  }

  void succeeded() {
    const std::lock_guard lock(mutex_);
    most_ = std::min(most_ * 2, kMost);
  }

  void failed(Time now) {
    const std::lock_guard lock(mutex_);
    most_ /= 4;
    if (most_ < kLeast) {
      most_ = kFirst;
      rests_until_ = now + kRest;
    }
  }

 private:
  mutable std::mutex mutex_;  // guards the fields below
  std::size_t most_ = kFirst;
  Time rests_until_{};
};

}  // namespace m2b
