#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace m2b {

/// Counts durations in fixed buckets; lock-free, for any thread.
class DurationHistogram {
 public:
  /// Upper bounds in seconds; a last bucket takes everything above.
  static constexpr std::array kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                      0.1,    0.25,  0.5,    1.0,   2.5,  5.0,   10.0};

  struct Snapshot {
    std::array<std::uint64_t, kBounds.size() + 1> counts{};  // not cumulative
    double sum_seconds = 0;
  };

  void observe(std::chrono::nanoseconds duration) noexcept {
    const double seconds = std::chrono::duration<double>(duration).count();
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) {
      ++bucket;
    }
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_nanoseconds_.fetch_add(static_cast<std::uint64_t>(duration.count()),
                               std::memory_order_relaxed);
  }

  [[nodiscard]] Snapshot snapshot() const noexcept {
    Snapshot result;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      result.counts[i] = counts_[i].load(std::memory_order_relaxed);
    }
    result.sum_seconds =
        static_cast<double>(sum_nanoseconds_.load(std::memory_order_relaxed)) * 1e-9;
    return result;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_nanoseconds_{0};
};

}  // namespace m2b
