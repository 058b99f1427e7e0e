#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "m2b/pipeline/pipeline.hpp"
#include "m2b/upload/put_outcome.hpp"
#include "m2b/util/backoff.hpp"
#include "m2b/util/repetition.hpp"

namespace m2b {

/// The gate before the store, a circuit breaker: open while the store takes objects; after a
/// failure everybody waits, and one at a time, in the order of waiting, probes the store after
/// growing pauses. The order matters: an object that fails for a reason of its own must not keep
/// the others from being tried. Thread-safe.
class StoreGate {
 public:
  explicit StoreGate(BackoffPolicy backoff) : backoff_(backoff) {}

  /// The right to send one request.
  struct Pass {
    bool probe = false;
    /// Objects stored so far; when it has grown between two failures, the store was well in
    /// between.
    std::uint64_t stored = 0;
  };

  /// Waits for the right to send; nothing when stopping. Each pass is given back by report().
  [[nodiscard]] std::optional<Pass> enter(const std::stop_token& stop);
  void report(const Pass& pass, const PutResult& result);

  [[nodiscard]] StoreState state() const;
  [[nodiscard]] std::optional<StoreTrouble> trouble() const;

 private:
  using Clock = std::chrono::steady_clock;

  void on_success();
  void on_failure(const Pass& pass, const PutResult& result);
  void log_change(StoreState before, StoreState after, const PutResult& result,
                  Clock::duration away_for);

  mutable std::mutex mutex_;  // guards the fields below
  std::condition_variable_any changed_;
  StoreState state_ = StoreState::unknown;
  Backoff backoff_;
  bool probing_ = false;
  Clock::time_point probe_at_{};
  Clock::time_point away_since_{};
  PutResult last_failure_;
  std::deque<std::uint64_t> line_;  // tickets of those who wait
  std::uint64_t next_ticket_ = 0;
  std::uint64_t stored_ = 0;

  Repetition failures_;
  std::atomic<bool> announced_{false};  // a line about the failure was written
};

}  // namespace m2b
