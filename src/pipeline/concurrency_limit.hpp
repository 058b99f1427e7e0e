#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace m2b {

/// How many uploads may run at a time, found by trying: more of them as long as that lets clearly
/// more through, fewer where fewer do as well. A long line needs many, a busy store few, and either
/// may change. Knows no time but what it is told. Not thread-safe.
class ConcurrencyLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// With `least` equal to `most` it never changes.
  ConcurrencyLimit(std::size_t least, std::size_t most) noexcept : least_(least), most_(most) {}

  [[nodiscard]] std::size_t value() const noexcept { return limit_; }

  /// An upload that ended.
  struct Ended {
    std::size_t objects = 1;
    std::uint64_t bytes = 0;   // of their bodies
    bool failed = false;       // the store was away or busy
    bool others_wait = false;  // there was another object to go on with
  };
  void note(const Ended& ended, Time now) noexcept;

 private:
  /// What is being tried.
  enum class Trial { none, more, fewer };

  void relieve(Time now) noexcept;
  void begin_window(Time now) noexcept;
  void judge(double rate) noexcept;
  void watch(double rate) noexcept;
  void try_more(double rate) noexcept;
  void begin_trial(Trial trial) noexcept;
  void go_back() noexcept;
  void stay(double rate) noexcept;

  std::size_t least_;
  std::size_t most_;
  std::size_t limit_ = least_;
  std::size_t before_ = least_;  // to go back to if the trial does not pay
  Trial trial_ = Trial::none;
  double known_rate_ = 0;  // at `before_`, or at `limit_` while nothing is tried
  int quiet_windows_ = 0;  // since the last trial
  int odd_windows_ = 0;    // one after the other, far from the known rate
  double trial_sum_ = 0;   // of the rates of the trial's windows
  int trial_windows_ = 0;
  bool next_is_fewer_ = true;
  std::optional<Time> relieved_at_;

  // The window under way.
  std::optional<Time> began_;  // none: those that began under the old limit are still ending
  std::size_t ended_ = 0;      // since the limit changed, or in the window
  std::uint64_t work_ = 0;
};

}  // namespace m2b
