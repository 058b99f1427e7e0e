#include "pipeline/dispatcher.hpp"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace m2b {
namespace {

constexpr std::size_t kListed = 256;  // ids looked up at a time
/// The newest ones, of which some may go ahead of their turn at the next occasion; those behind
/// them are backlog by now.
constexpr std::size_t kNewest = 32;
constexpr std::chrono::seconds kReadPause{1};

}  // namespace

Dispatcher::Dispatcher(const PipelineOptions& options, Spool& spool, Flow& flow)
    : spool_(spool), flow_(flow), admits_live_(options.live_percent > 0) {
  flow_.set_change_listener([this] { wake(); });
  spool_.set_append_listener([this] { on_appended(); });
}

Dispatcher::~Dispatcher() { spool_.set_append_listener(nullptr); }

void Dispatcher::run(const std::stop_token& stop) {
  std::deque<SpoolEntry> listed;  // known, not yet in flight
  live_cursor_ = spool_.last_id().value_or(live_cursor_);
  while (!stop.stop_requested()) {
    pulse_.beat();
    std::optional<Clock::time_point> until = flow_.requeue();
    if (flow_.is_backed_up()) {
      admit_newest();
    }
    if (listed.empty()) {
      if (const auto entries = spool_.list(cursor_, kListed)) {
        listed.assign(entries->begin(), entries->end());
      } else {
        const auto retry_at = Clock::now() + kReadPause;
        until = std::min(until.value_or(retry_at), retry_at);
      }
    }
    pulse_.rest();  // with one that was stored live it waits while the disk is full
    const bool is_admitted = !listed.empty() && flow_.admit(listed.front());
    pulse_.beat();
    if (is_admitted) {
      cursor_ = listed.front().id;
      listed.pop_front();
      continue;
    }
    if (!listed.empty()) {
      admit_newest();
    }
    wait(stop, until);
  }
  pulse_.rest();
}

void Dispatcher::on_appended() {
  const std::lock_guard lock(mutex_);
  appended_ = true;
  news_ = true;
  woken_.notify_all();
}

void Dispatcher::wake() {
  const std::lock_guard lock(mutex_);
  news_ = true;
  woken_.notify_all();
}

void Dispatcher::wait(const std::stop_token& stop, std::optional<Clock::time_point> until) {
  std::unique_lock lock(mutex_);
  woken_.wait_until(lock, stop, until.value_or(Clock::time_point::max()), [this] { return news_; });
  news_ = false;
}

bool Dispatcher::take_appended() {
  const std::lock_guard lock(mutex_);
  return std::exchange(appended_, false);
}

void Dispatcher::admit_newest() {
  if (!admits_live_ || !flow_.may_admit_live() || !take_appended()) {
    return;
  }
  const std::uint64_t newest = to_number(spool_.last_id().value_or(live_cursor_));
  const SpoolId too_old{newest - std::min<std::uint64_t>(newest, kNewest)};
  live_cursor_ = std::max({live_cursor_, cursor_, too_old});
  const auto entries = spool_.list(live_cursor_, kNewest);
  for (const SpoolEntry& entry : entries.value_or(std::vector<SpoolEntry>{})) {
    if (!flow_.admit_live(entry)) {
      const std::lock_guard lock(mutex_);
      appended_ = true;  // there are some left
      return;
    }
    live_cursor_ = entry.id;
  }
}

}  // namespace m2b
