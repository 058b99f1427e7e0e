#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/check/check_step.hpp"

namespace m2b::check {

/// What a step found out.
struct Finding {
  StepOutcome outcome = StepOutcome::ok;
  std::string seen = {};
  std::string remedy = {};
};

[[nodiscard]] inline Finding ok(std::string seen) { return {StepOutcome::ok, std::move(seen), {}}; }
[[nodiscard]] inline Finding warning(std::string seen, std::string remedy) {
  return {StepOutcome::warning, std::move(seen), std::move(remedy)};
}
[[nodiscard]] inline Finding failed(std::string seen, std::string remedy) {
  return {StepOutcome::failed, std::move(seen), std::move(remedy)};
}
[[nodiscard]] inline Finding skipped(std::string seen, std::string remedy = {}) {
  return {StepOutcome::skipped, std::move(seen), std::move(remedy)};
}

/// Steps that one thread does one after the other, while another thread watches: a call that does
/// not return in time fails its step, and the lane is over. What the call returns later is dropped.
class Lane {
 public:
  using Clock = std::chrono::steady_clock;

  /// `planned` are the names of its steps: those that nothing was said of are skipped at the end.
  /// `on_change` is called by the working thread, after each step and at the end.
  Lane(std::vector<std::string_view> planned, std::function<void()> on_change);

  // The working thread.

  /// Does a step. False when no other makes sense: it failed, was too late, or the lane is over.
  bool run(std::string_view name, std::chrono::milliseconds limit,
           const std::function<Finding()>& step);
  /// Several findings of one step, each of which is a step to the outside.
  void add(std::string_view name, Finding finding);
  void finish();

  // The watching thread.

  /// The steps since the last call.
  [[nodiscard]] std::vector<CheckStep> take();
  [[nodiscard]] bool is_over() const;
  /// Whether the working thread has returned from its last step.
  [[nodiscard]] bool has_returned() const;
  /// Of the step that runs.
  [[nodiscard]] std::optional<Clock::time_point> deadline() const;
  /// Ends the lane if the step that runs is over time, or at `all_by` in any case.
  void expire(Clock::time_point now, Clock::time_point all_by);
  /// Ends the lane at once; the step that runs is skipped.
  void interrupt();

 private:
  void push(std::string_view name, Finding finding);  // with the mutex held
  void close();                                       // likewise

  const std::vector<std::string_view> planned_;
  const std::function<void()> on_change_;
  mutable std::mutex mutex_;  // guards the fields below
  std::vector<CheckStep> steps_;
  std::size_t taken_ = 0;
  std::string running_;  // empty: none
  Clock::time_point began_;
  Clock::time_point deadline_;
  bool is_over_ = false;
  bool has_returned_ = false;
};

}  // namespace m2b::check
