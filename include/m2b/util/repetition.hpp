#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace m2b {

/// Sums up repeated failures instead of flooding the log: the first of a kind are logged, one
/// unless told otherwise, the same kind again only after `quiet`, together with how often it was
/// held back. Thread-safe.
class Repetition {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Repetition(Clock::duration quiet = std::chrono::seconds(30), int lines = 1)
      : quiet_(quiet), lines_(lines) {}

  /// Whether an event of this kind is to be logged now; the value is how many of its kind were held
  /// back since its last line. Kinds are few: names and codes, never ids.
  [[nodiscard]] std::optional<std::uint64_t> admit(std::string_view kind,
                                                   Clock::time_point now = Clock::now());

  /// The trouble is over: whatever comes next is news again.
  void reset();

 private:
  struct Kind {
    Clock::time_point began;  // the time in which so many lines are admitted
    int lines = 1;
    std::uint64_t held_back = 0;
  };

  const Clock::duration quiet_;
  const int lines_;
  std::mutex mutex_;  // guards kinds_
  std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace m2b
