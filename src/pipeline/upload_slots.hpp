#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <stop_token>

#include "pipeline/concurrency_limit.hpp"

namespace m2b {

/// The right to upload, given to as many uploaders at a time as the limit allows. Thread-safe.
class UploadSlots {
 public:
  /// `retry`: how long after a growth that failed it is asked for again.
  explicit UploadSlots(ConcurrencyLimit limit,
                       std::chrono::milliseconds retry = std::chrono::seconds(10))
      : retry_(retry), limit_(limit) {}

  /// Called, by whoever ended an upload, when more may run than there are uploaders; returns how
  /// many there are then. Set once, before the first take().
  void set_growth_listener(std::function<std::size_t(std::size_t slots)> listener) {
    on_growth_ = std::move(listener);
  }

  /// Waits for a slot; false when stopping.
  [[nodiscard]] bool take(const std::stop_token& stop);
  /// Gives it back, with what was done in it.
  void give_back(const ConcurrencyLimit::Ended& ended);

  /// How many uploads may run at a time.
  [[nodiscard]] std::size_t count() const;

 private:
  std::function<std::size_t(std::size_t slots)> on_growth_;  // constant once uploaders run
  const std::chrono::milliseconds retry_;
  mutable std::mutex mutex_;  // guards the fields below
  std::condition_variable_any freed_;
  ConcurrencyLimit limit_;
  std::size_t taken_ = 0;
  std::size_t most_ = limit_.value();  // uploaders so far
  std::chrono::steady_clock::time_point grow_again_at_{};
};

}  // namespace m2b
