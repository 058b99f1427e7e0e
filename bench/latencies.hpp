#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace m2b::bench {

struct LatencySummary {
  std::chrono::duration<double, std::milli> p50{};
  std::chrono::duration<double, std::milli> p99{};
  std::chrono::duration<double, std::milli> max{};
  std::size_t count = 0;
  double seconds = 0;  // first publish to the last answer
};

/// When each message was published and when the store had it, by its first answer. For any thread.
class Latencies {
 public:
  explicit Latencies(std::size_t messages) : published_(messages), stored_(messages) {}

  void published(std::size_t number) noexcept { note(published_, number); }
  void stored(std::size_t number) noexcept { note(stored_, number); }
  /// `request` as for picture_number().
  void answered(std::string_view request);

  /// Of the messages that have both times; nothing if there is none.
  [[nodiscard]] std::optional<LatencySummary> summary() const {
    return summary(0, published_.size());
  }
  /// The same of those with numbers from `first` to before `end`.
  [[nodiscard]] std::optional<LatencySummary> summary(std::size_t first, std::size_t end) const;

 private:
  using Times = std::vector<std::atomic<std::int64_t>>;  // nanoseconds; 0: not yet

  static void note(Times& times, std::size_t number) noexcept;

  Times published_;
  Times stored_;
};

}  // namespace m2b::bench
