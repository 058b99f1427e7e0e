#pragma once

#include <chrono>
#include <functional>
#include <utility>

namespace m2b {

/// For how long the bridge has run with its spool, over all its starts: the only time that it can
/// vouch for, whatever becomes of the wall clock. The time between two starts does not count
/// (decision 0028). May be read from any thread.
class RunningTime {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;

  /// Goes on from what was kept of the starts before.
  explicit RunningTime(std::chrono::milliseconds before, Now now = Clock::now)
      : now_(std::move(now)), before_(before), started_(now_()) {}

  [[nodiscard]] std::chrono::milliseconds total() const {
    return before_ + std::chrono::floor<std::chrono::milliseconds>(now_() - started_);
  }

 private:
  const Now now_;
  const std::chrono::milliseconds before_;
  const Clock::time_point started_;
};

}  // namespace m2b
