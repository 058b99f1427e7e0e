#include "pipeline/feeder.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "m2b/util/backoff.hpp"

namespace m2b {
namespace {

constexpr std::size_t kListed = 256;  // ids looked up at a time
constexpr std::size_t kMaxReturning = 100'000;
/// The newest ones, of which some may go ahead of their turn at the next occasion; those behind
/// them are backlog by now.
constexpr std::size_t kNewest = 32;
constexpr std::chrono::seconds kReadPause{1};

}  // namespace

Feeder::Feeder(const PipelineOptions& options, Spool& spool, Flow& flow)
    : spool_(spool),
      flow_(flow),
      postponement_(options.postponement),
      admits_early_(options.early_percent > 0) {
  flow_.set_feeder({
      .on_room = [this] { wake(); },
      .on_postponed =
          [this](DecodeJob job) {
            bring_back(job, Backoff::ceiling(postponement_, job.postponements));
          },
      .on_parked = [this](DecodeJob job) { bring_back(job, {}); },
  });
  spool_.set_append_listener([this] { on_appended(); });
}

Feeder::~Feeder() { spool_.set_append_listener(nullptr); }

void Feeder::run(const std::stop_token& stop) {
  std::deque<SpoolEntry> listed;  // known, not yet in flight
  early_cursor_ = spool_.last_id().value_or(early_cursor_);
  while (!stop.stop_requested()) {
    pulse_.beat();
    readmit_due();
    if (flow_.is_backed_up()) {
      admit_newest();
    }
    std::optional<Clock::duration> pause;
    if (listed.empty() && has_room_for_more()) {
      if (const auto entries = spool_.list(cursor_, kListed)) {
        listed.assign(entries->begin(), entries->end());
      } else {
        pause = kReadPause;
      }
    }
    pulse_.rest();  // with one that was stored early it waits while the disk is full
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
    wait(stop, pause);
  }
  pulse_.rest();
}

void Feeder::bring_back(DecodeJob job, Clock::duration pause) {
  ++job.postponements;
  const std::lock_guard lock(mutex_);
  returning_.push({Clock::now() + pause, job});
  news_ = true;
  woken_.notify_all();
}

void Feeder::on_appended() {
  const std::lock_guard lock(mutex_);
  appended_ = true;
  news_ = true;
  woken_.notify_all();
}

void Feeder::wake() {
  const std::lock_guard lock(mutex_);
  news_ = true;
  woken_.notify_all();
}

void Feeder::wait(const std::stop_token& stop, std::optional<Clock::duration> limit) {
  std::unique_lock lock(mutex_);
  auto until = limit ? Clock::now() + *limit : Clock::time_point::max();
  if (!returning_.empty() && flow_.may_readmit()) {
    until = std::min(until, returning_.top().due);
  }
  woken_.wait_until(lock, stop, until, [this] { return news_; });
  news_ = false;
}

void Feeder::readmit_due() {
  std::optional<DecodeJob> job;
  {
    const std::lock_guard lock(mutex_);
    if (!returning_.empty() && returning_.top().due <= Clock::now() && flow_.may_readmit()) {
      job = returning_.top().job;
      returning_.pop();
    }
  }
  if (job) {
    flow_.readmit(*job);
  }
}

bool Feeder::take_appended() {
  const std::lock_guard lock(mutex_);
  return std::exchange(appended_, false);
}

void Feeder::admit_newest() {
  if (!admits_early_ || !flow_.may_admit_early() || !take_appended()) {
    return;
  }
  const std::uint64_t newest = to_number(spool_.last_id().value_or(early_cursor_));
  const SpoolId too_old{newest - std::min<std::uint64_t>(newest, kNewest)};
  early_cursor_ = std::max({early_cursor_, cursor_, too_old});
  const auto entries = spool_.list(early_cursor_, kNewest);
  for (const SpoolEntry& entry : entries.value_or(std::vector<SpoolEntry>{})) {
    if (!flow_.admit_early(entry)) {
      const std::lock_guard lock(mutex_);
      appended_ = true;  // there are some left
      return;
    }
    early_cursor_ = entry.id;
  }
}

bool Feeder::has_room_for_more() {
  const std::lock_guard lock(mutex_);
  return returning_.size() < kMaxReturning;
}

}  // namespace m2b
