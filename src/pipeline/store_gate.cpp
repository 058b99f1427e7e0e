#include "pipeline/store_gate.hpp"

#include <algorithm>
#include <utility>

#include "m2b/util/log.hpp"

namespace m2b {
namespace {

bool lets_everybody_pass(StoreState state) {
  return state == StoreState::unknown || state == StoreState::reachable;
}

}  // namespace

std::optional<StoreGate::Pass> StoreGate::enter(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  line_.push_back(ticket);
  const auto may_pass = [&] { return lets_everybody_pass(state_); };
  const auto may_probe = [&] { return line_.front() == ticket && !probing_; };

  std::optional<Pass> pass;
  while (!pass && !stop.stop_requested() &&
         changed_.wait(lock, stop, [&] { return may_pass() || may_probe(); })) {
    if (may_pass()) {
      pass = Pass{false, stored_};
    } else if (Clock::now() >= probe_at_) {
      probing_ = true;
      pass = Pass{true, stored_};
    } else {
      const auto probe_at = probe_at_;  // by value: the wait reads it while others may change it
      changed_.wait_until(lock, stop, probe_at, may_pass);
    }
  }
  line_.erase(std::find(line_.begin(), line_.end(), ticket));
  changed_.notify_all();  // somebody else stands first now
  return pass;
}

void StoreGate::report(const Pass& pass, const PutResult& result) {
  StoreState before{};
  StoreState after{};
  Clock::duration away_for{};
  {
    const std::lock_guard lock(mutex_);
    before = state_;
    probing_ = probing_ && !pass.probe;
    switch (result.outcome) {
      case PutOutcome::stored:
        ++stored_;
        on_success();
        break;
      case PutOutcome::rejected:
        on_success();  // it answered, and only this object was wrong
        break;
      case PutOutcome::retry_later:
      case PutOutcome::hold:
      case PutOutcome::doubtful:
        on_failure(pass, result);
        break;
      case PutOutcome::stopped:
        break;
    }
    after = state_;
    away_for = Clock::now() - away_since_;
    changed_.notify_all();
  }
  log_change(before, after, result, away_for);
}

StoreState StoreGate::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::optional<StoreTrouble> StoreGate::trouble() const {
  const std::lock_guard lock(mutex_);
  return lets_everybody_pass(state_) ? std::nullopt
                                     : std::optional(StoreTrouble{last_failure_, away_since_});
}

void StoreGate::on_success() {
  state_ = StoreState::reachable;
  backoff_.reset();
}

void StoreGate::on_failure(const Pass& pass, const PutResult& result) {
  const bool was_open = lets_everybody_pass(state_);
  if (was_open) {
    away_since_ = Clock::now();
  }
  state_ = result.outcome == PutOutcome::hold ? StoreState::held : StoreState::away;
  last_failure_ = result;
  // Uploads that were under way when the gate closed fail as well; they are no further attempts.
  if (was_open || pass.probe) {
    probe_at_ = Clock::now() + backoff_.next();
  }
}

void StoreGate::log_change(StoreState before, StoreState after, const PutResult& result,
                           Clock::duration away_for) {
  if (after == StoreState::reachable) {
    if (before == StoreState::unknown) {
      log::info("upload", "store takes objects");
    } else if (announced_.exchange(false)) {
      log::info("upload", "store takes objects again",
                {{"after_seconds", std::chrono::duration<double>(away_for).count()}});
    }
    return;
  }
  if (result.outcome == PutOutcome::stopped) {
    return;
  }
  const auto held_back = failures_.admit(result.code);
  if (!held_back) {
    return;
  }
  announced_ = true;
  const bool held = after == StoreState::held;
  log::write(held ? log::Level::error : log::Level::warning, "upload",
             held ? "store refuses us; everything is kept in the spool until this is mended"
                  : "store is away or busy; everything is kept in the spool",
             {{"code", result.code},
              {"status", result.http_status},
              {"detail", result.detail},
              {"repeated", *held_back}});
}

}  // namespace m2b
