#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>

#include "m2b/pipeline/options.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/pulse.hpp"
#include "pipeline/flow.hpp"

namespace m2b {

/// Reads the spool in order and hands out work: a cursor over the ids, what was postponed, and,
/// while a backlog waits for room, what comes in behind it. Memory does not depend on the backlog.
class Dispatcher {
 public:
  /// The references outlive the dispatcher. Hooks itself to the flow and to the spool's appends.
  Dispatcher(const PipelineOptions& options, Spool& spool, Flow& flow);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  /// The loop of the dispatcher's thread.
  void run(const std::stop_token& stop);

  /// From any thread: go round, and beat.
  void wake();
  [[nodiscard]] const Pulse& pulse() const noexcept { return pulse_; }

 private:
  using Clock = std::chrono::steady_clock;

  void on_appended();
  /// Sleeps until woken, until that time or until stop is requested.
  void wait(const std::stop_token& stop, std::optional<Clock::time_point> until);
  [[nodiscard]] bool take_appended();
  void admit_newest();

  Spool& spool_;
  Pulse pulse_;
  Flow& flow_;
  const bool admits_live_;
  SpoolId cursor_{0};       // only the dispatcher's thread, as the next one
  SpoolId live_cursor_{0};  // of what goes ahead of its turn, or is too old for it

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any woken_;
  bool appended_ = false;  // something that was not considered for going live
  bool news_ = true;       // records or room may have come since the last look
};

}  // namespace m2b
