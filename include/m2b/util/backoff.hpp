#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace m2b {

/// Bounds of the pauses between attempts.
struct BackoffPolicy {
  std::chrono::milliseconds base{200};
  std::chrono::milliseconds cap{8000};
};

/// Exponential backoff with full jitter: attempt n waits a random time between 0 and
/// min(cap, base * 2^n), so that many clients that failed together do not return together (M.
/// Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). It never gives up. Not
/// thread-safe.
class Backoff {
 public:
  explicit Backoff(BackoffPolicy policy, std::uint64_t seed = std::random_device{}());

  /// The pause before the next attempt; each call counts as one failed attempt.
  [[nodiscard]] std::chrono::milliseconds next();

  void reset() noexcept { attempt_ = 0; }
  [[nodiscard]] std::uint32_t attempts() const noexcept { return attempt_; }

  /// The upper bound for an attempt (0 is the first).
  [[nodiscard]] static std::chrono::milliseconds ceiling(const BackoffPolicy& policy,
                                                         std::uint32_t attempt) noexcept;

 private:
  BackoffPolicy policy_;
  std::uint32_t attempt_ = 0;
  std::mt19937_64 random_;
};

}  // namespace m2b
