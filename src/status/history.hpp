#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "m2b/spool/message.hpp"

namespace m2b {

/// What is counted at one moment. Counters only grow; what waits, and used bytes, go up and down.
struct Sample {
  std::chrono::steady_clock::time_point at = {};
  std::uint64_t received = 0;
  std::uint64_t stored = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t progress = 0;  // objects that were stored, and messages that left the queue
  std::uint64_t connections_lost = 0;
  std::uint64_t store_outages = 0;
  std::uint64_t waiting = 0;
  std::uint64_t refused = 0;  // of those that wait: while others are stored
  std::uint64_t used_bytes = 0;
  WallTime oldest = {};  // when the oldest one that waits was received; 1970: none waits
};

/// What changed between two samples, a second.
struct Rates {
  std::chrono::duration<double> over{0};  // 0: nothing is known yet, and the rest is 0
  double in = 0;                          // messages
  double out = 0;                         // objects
  double out_bytes = 0;
  double backlog = 0;     // messages; below 0 where it shrinks
  double refused = 0;     // of these; likewise
  double used_bytes = 0;  // likewise
};

[[nodiscard]] Rates rates_between(const Sample& before, const Sample& after) noexcept;

/// The last hour, a sample each ten seconds; some 20 kB. Thread-safe.
class History {
 public:
  static constexpr std::chrono::seconds kStep{10};
  static constexpr std::size_t kMaxSamples = 361;  // an hour between the first and the last

  /// Samples come in the order of their times.
  void add(const Sample& sample);

  /// From the latest sample that is at least so old until `now`; from the oldest one there is where
  /// none is.
  [[nodiscard]] Rates rates(const Sample& now, std::chrono::seconds at_least) const;

  /// How often the connection to the broker was lost in that time.
  [[nodiscard]] std::uint64_t connections_lost(const Sample& now,
                                               std::chrono::seconds within) const;

  /// How often the store began to take nothing in that time.
  [[nodiscard]] std::uint64_t store_outages(const Sample& now, std::chrono::seconds within) const;

  /// For how long, up to an hour, the same message has been the oldest that waits.
  [[nodiscard]] std::chrono::seconds oldest_unchanged_for(const Sample& now) const;

  /// For how long, up to an hour, nothing has been stored although something waits that is not
  /// refused.
  [[nodiscard]] std::chrono::seconds stands_still_for(const Sample& now) const;

  /// The curves of the page, the oldest first: between each two samples, and the backlog at the
  /// second one.
  struct Curves {
    std::vector<double> in;   // messages a second
    std::vector<double> out;  // objects a second
    std::vector<std::uint64_t> backlog;
  };
  [[nodiscard]] Curves curves() const;

 private:
  [[nodiscard]] Sample sample_before(std::chrono::steady_clock::time_point time) const;
  /// How much a counter has grown within a time.
  [[nodiscard]] std::uint64_t growth(std::uint64_t Sample::*counter, const Sample& now,
                                     std::chrono::seconds within) const;
  /// For how long all samples until now have been so.
  [[nodiscard]] std::chrono::seconds lasts(
      const Sample& now, const std::function<bool(const Sample& sample)>& is_so) const;

  mutable std::mutex mutex_;  // guards samples_
  std::deque<Sample> samples_;
};

}  // namespace m2b
