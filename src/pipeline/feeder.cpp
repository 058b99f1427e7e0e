#include "pipeline/feeder.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "m2b/util/backoff.hpp"

namespace m2b {
namespace {

constexpr std::size_t kListed = 256;  // ids looked up at a time
constexpr std::size_t kMaxReturning = 100'000;
constexpr std::chrono::seconds kReadPause{1};

}  // namespace

Feeder::Feeder(const PipelineOptions& options, Spool& spool, Flow& flow)
    : spool_(spool), flow_(flow), postponement_(options.postponement) {
  flow_.set_feeder({
      .on_room = [this] { wake(); },
      .on_postponed =
          [this](DecodeJob job) {
            bring_back(job, Backoff::ceiling(postponement_, job.postponements));
          },
      .on_parked = [this](DecodeJob job) { bring_back(job, {}); },
  });
  spool_.set_append_listener([this] { wake(); });
}

Feeder::~Feeder() { spool_.set_append_listener(nullptr); }

void Feeder::run(const std::stop_token& stop) {
  std::deque<SpoolEntry> listed;  // known, not yet in flight
  while (!stop.stop_requested()) {
    readmit_due();
    std::optional<Clock::duration> pause;
    if (listed.empty() && has_room_for_more()) {
      if (const auto entries = spool_.list(cursor_, kListed)) {
        listed.assign(entries->begin(), entries->end());
      } else {
        pause = kReadPause;
      }
    }
    if (listed.empty() || !flow_.admit(listed.front())) {
      wait(stop, pause);
      continue;
    }
    cursor_ = listed.front().id;
    listed.pop_front();
  }
}

void Feeder::bring_back(DecodeJob job, Clock::duration pause) {
  ++job.postponements;
  const std::lock_guard lock(mutex_);
  returning_.push({Clock::now() + pause, job});
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

bool Feeder::has_room_for_more() {
  const std::lock_guard lock(mutex_);
  return returning_.size() < kMaxReturning;
}

}  // namespace m2b
