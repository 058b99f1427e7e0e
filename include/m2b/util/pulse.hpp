#pragma once

#include <atomic>
#include <chrono>
#include <string>

namespace m2b {

/// The sign of life of a thread that has a loop: it beats in each round, which a watchdog may ask
/// for by waking it. Written by that thread, read by any.
class Pulse {
 public:
  using Clock = std::chrono::steady_clock;

  /// A round begins.
  void beat() noexcept { beat_at_.store(Clock::now(), std::memory_order_relaxed); }

  /// From here to the next beat the thread may take as long as something outside takes: a disk
  /// without room, a store, the next piece of work.
  void rest() noexcept { beat_at_.store(kRests, std::memory_order_relaxed); }

  /// How long there has been no beat; zero while it rests, as at first.
  [[nodiscard]] Clock::duration silent_for(Clock::time_point now = Clock::now()) const noexcept {
    const Clock::time_point beat_at = beat_at_.load(std::memory_order_relaxed);
    return beat_at == kRests || beat_at > now ? Clock::duration::zero() : now - beat_at;
  }

 private:
  static constexpr Clock::time_point kRests = Clock::time_point::max();

  std::atomic<Clock::time_point> beat_at_{kRests};
};

/// Whose pulse it is; borrowed.
struct NamedPulse {
  std::string name;
  const Pulse* pulse;
};

}  // namespace m2b
