#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <queue>
#include <stop_token>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "m2b/util/backoff.hpp"
#include "pipeline/flow.hpp"
#include "pipeline/job.hpp"

namespace m2b {

/// Reads the spool in order and hands out work: a cursor over the ids, and the few records that
/// come round again because they alone failed. Memory does not depend on the backlog.
class Feeder {
 public:
  /// The references outlive the feeder. Hooks itself to the spool's appends.
  Feeder(Spool& spool, Flow& flow);
  ~Feeder();

  /// The loop of the feeder's thread.
  void run(const std::stop_token& stop);

  /// Brings a record round again later, each time after a longer pause. Any thread.
  void postpone(DecodeJob job);

 private:
  using Clock = std::chrono::steady_clock;
  struct Postponed {
    Clock::time_point due;
    DecodeJob job;
    friend bool operator>(const Postponed& a, const Postponed& b) { return a.due > b.due; }
  };

  void wake();
  /// Sleeps until woken, a postponed record is due, `limit` has passed or stop is requested.
  void wait(const std::stop_token& stop, std::optional<Clock::duration> limit);
  void readmit_due();
  [[nodiscard]] bool has_room_for_more();

  Spool& spool_;
  Flow& flow_;
  SpoolId cursor_{0};  // only the feeder's thread

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any woken_;
  bool news_ = true;  // records may have come since the last look
  std::priority_queue<Postponed, std::vector<Postponed>, std::greater<>> postponed_;
};

}  // namespace m2b
