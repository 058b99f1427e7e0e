#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "pipeline/job.hpp"

namespace m2b {

/// The objects that wait for an uploader, in two lanes, each first in, first out: those whose turn
/// it is, and those ahead of their turn. While both have some, the early lane gets its share of the
/// bytes and goes first until it has had it. Holds what the budgets admit and knows no limit of its
/// own. Closing wakes everybody and abandons what is inside. Thread-safe.
class UploadQueue {
 public:
  /// `early_percent` from 0 to 100.
  explicit UploadQueue(unsigned early_percent) noexcept : early_percent_(early_percent) {}

  void push(UploadJob job);
  /// Waits for an object; nothing when closed.
  [[nodiscard]] std::optional<UploadJob> pop();
  /// Waits for an early one that may go.
  [[nodiscard]] std::optional<UploadJob> pop_early();
  /// The next one of that lane if there is one now.
  [[nodiscard]] std::optional<UploadJob> try_pop(bool early);
  [[nodiscard]] std::size_t size(bool early) const;
  [[nodiscard]] std::size_t size() const;
  /// Of the bodies that wait for their turn.
  [[nodiscard]] std::size_t bytes_in_turn() const;
  /// Idempotent.
  void close() noexcept;

 private:
  using Lane = std::deque<UploadJob>;

  [[nodiscard]] bool early_may_go() const;
  [[nodiscard]] UploadJob take(Lane& lane);

  const std::int64_t early_percent_;
  mutable std::mutex mutex_;  // guards the fields below
  std::condition_variable filled_;
  std::condition_variable early_may_go_;
  Lane in_turn_;
  Lane early_;
  std::size_t bytes_in_turn_ = 0;
  std::int64_t early_debt_ = 0;  // bytes that the early lane has had above its share, times 100
  bool closed_ = false;
};

}  // namespace m2b
