#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <queue>
#include <stop_token>
#include <vector>

#include "m2b/pipeline/options.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/pulse.hpp"
#include "pipeline/flow.hpp"
#include "pipeline/job.hpp"

namespace m2b {

/// Reads the spool in order and hands out work: a cursor over the ids, the few records that come
/// round again, and, while a backlog waits for room, what comes in behind it. Memory does not
/// depend on the backlog.
class Feeder {
 public:
  /// The references outlive the feeder. Hooks itself to the flow and to the spool's appends.
  Feeder(const PipelineOptions& options, Spool& spool, Flow& flow);
  ~Feeder();

  /// The loop of the feeder's thread.
  void run(const std::stop_token& stop);

  /// From any thread: go round, and beat.
  void wake();
  [[nodiscard]] const Pulse& pulse() const noexcept { return pulse_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Returning {
    Clock::time_point due;
    DecodeJob job;
    friend bool operator>(const Returning& a, const Returning& b) { return a.due > b.due; }
  };

  void bring_back(DecodeJob job, Clock::duration pause);
  void on_appended();
  /// Sleeps until woken, a record is due, `limit` has passed or stop is requested.
  void wait(const std::stop_token& stop, std::optional<Clock::duration> limit);
  void readmit_due();
  [[nodiscard]] bool take_appended();
  void admit_newest();
  [[nodiscard]] bool has_room_for_more();

  Spool& spool_;
  Pulse pulse_;
  Flow& flow_;
  const BackoffPolicy postponement_;
  const bool admits_early_;
  SpoolId cursor_{0};        // only the feeder's thread, as the next one
  SpoolId early_cursor_{0};  // of what goes ahead of its turn, or is too old for it

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any woken_;
  bool appended_ = false;  // something that was not considered for going early
  bool news_ = true;       // records or room may have come since the last look
  std::priority_queue<Returning, std::vector<Returning>, std::greater<>> returning_;
};

}  // namespace m2b
