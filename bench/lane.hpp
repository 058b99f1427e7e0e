#pragma once

#include <chrono>
#include <cstddef>

namespace m2b::bench {

/// One direction of a line, as a reckoning of times: bytes leave one after another at its rate, in
/// the order in which they came and whosesoever they are, and arrive after its delay. Being late
/// in asking it costs no rate as long as bytes wait.
class Lane {
 public:
  using Clock = std::chrono::steady_clock;

  /// A rate of 0 has no limit.
  Lane(double bytes_per_second, Clock::duration delay);

  /// Bytes that come now; returns when they have arrived.
  [[nodiscard]] Clock::time_point enter(std::size_t bytes, Clock::time_point now);
  /// When it takes more: it lets as much wait as it carries in a round trip, as a router does whose
  /// buffer was sized by the rule. More stays with the senders.
  [[nodiscard]] Clock::time_point takes_more_at() const noexcept {
    return free_at_ - most_waiting_;
  }
  /// How much to take at a time, so that no connection holds the others up.
  [[nodiscard]] std::size_t chunk_bytes() const noexcept { return chunk_bytes_; }

 private:
  double bytes_per_second_;
  Clock::duration delay_;
  Clock::duration most_waiting_;
  std::size_t chunk_bytes_;
  Clock::time_point free_at_;  // when the last byte so far has left
};

}  // namespace m2b::bench
