#pragma once

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
  explicit UploadSlots(ConcurrencyLimit limit) : limit_(limit) {}

  /// Called, by whoever ended an upload, when more may run than ever before; set once, before the
  /// first take().
  void set_growth_listener(std::function<void(std::size_t slots)> listener) {
    on_growth_ = std::move(listener);
  }

  /// Waits for a slot; false when stopping.
  [[nodiscard]] bool take(const std::stop_token& stop);
  /// Gives it back, with what was done in it.
  void give_back(const ConcurrencyLimit::Ended& ended);

  /// How many uploads may run at a time.
  [[nodiscard]] std::size_t count() const;

 private:
  std::function<void(std::size_t slots)> on_growth_;  // constant once uploaders run
  mutable std::mutex mutex_;                          // guards the fields below
  std::condition_variable_any freed_;
  ConcurrencyLimit limit_;
  std::size_t taken_ = 0;
  std::size_t most_ = limit_.value();  // so far
};

}  // namespace m2b
