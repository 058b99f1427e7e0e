#include "pipeline/concurrency_limit.hpp"

#include <algorithm>

namespace m2b {
namespace {

using Seconds = std::chrono::duration<double>;

/// A window is long enough for the scatter of single uploads to even out.
constexpr Seconds kShortestWindow{0.5};
constexpr std::size_t kRoundsInWindow = 4;

/// An object costs a store something whatever its size.
constexpr std::uint64_t kWorkOfAnObject = 8192;

constexpr double kPlainlyMore = 1.35;   // one window with so much more is no chance
constexpr double kWorthMore = 1.07;     // so much more must go through for more to be kept
constexpr double kGoodEnough = 0.97;    // and so much still for fewer
constexpr double kSomethingElse = 1.3;  // the line or the store is not what it was

/// Stores are unsteady: by a fifth from one second to the next is usual. So it takes a few windows
/// to tell a gain from chance, or a change from a stumble.
constexpr int kTrialWindows = 6;
constexpr int kOddWindows = 3;
constexpr int kQuietWindows = 15;
constexpr double kWeightOfNewest = 0.125;
constexpr Seconds kOneFailure{1};

std::size_t step_up(std::size_t limit) { return limit + (limit + 1) / 2; }
std::size_t step_down(std::size_t limit) { return limit - limit / 4; }

}  // namespace

void ConcurrencyLimit::note(const Ended& ended, Time now) noexcept {
  if (least_ == most_) {
    return;
  }
  if (ended.failed) {
    relieve(now);
    return;
  }
  if (!ended.others_wait) {
    began_.reset();  // the objects are the limit, not the connections
    ended_ = 0;
    return;
  }
  ++ended_;
  if (!began_) {
    if (ended_ >= limit_) {
      begin_window(now);
    }
    return;
  }
  work_ += ended.bytes + ended.objects * kWorkOfAnObject;
  const Seconds took = now - *began_;
  if (took >= kShortestWindow && ended_ >= kRoundsInWindow * limit_) {
    const std::size_t limit = limit_;
    judge(static_cast<double>(work_) / took.count());
    begin_window(now);
    if (limit_ != limit) {
      began_.reset();
    }
  }
}

/// Those that were under way together fail together, which is one failure.
void ConcurrencyLimit::relieve(Time now) noexcept {
  if (!relieved_at_ || now - *relieved_at_ > kOneFailure) {
    relieved_at_ = now;
    limit_ = std::max(least_, limit_ / 2);
    trial_ = Trial::none;
    known_rate_ = 0;  // what was known is not true any more
  }
  began_.reset();
  ended_ = 0;
}

void ConcurrencyLimit::begin_window(Time now) noexcept {
  began_ = now;
  ended_ = 0;
  work_ = 0;
}

void ConcurrencyLimit::judge(double rate) noexcept {
  if (trial_ == Trial::none) {
    watch(rate);
    return;
  }
  trial_sum_ += rate;
  ++trial_windows_;
  const double mean = trial_sum_ / trial_windows_;
  const bool is_plain = trial_ == Trial::more && mean >= known_rate_ * kPlainlyMore;
  if (!is_plain && trial_windows_ < kTrialWindows) {
    return;
  }
  const double wanted = known_rate_ * (trial_ == Trial::more ? kWorthMore : kGoodEnough);
  if (mean < wanted) {
    go_back();
  } else if (trial_ == Trial::more) {
    try_more(mean);
  } else {
    stay(mean);
  }
}

void ConcurrencyLimit::watch(double rate) noexcept {
  const bool is_odd = rate > known_rate_ * kSomethingElse || rate * kSomethingElse < known_rate_;
  odd_windows_ = is_odd ? odd_windows_ + 1 : 0;
  const bool has_changed = known_rate_ == 0 || odd_windows_ >= kOddWindows;
  if (has_changed) {
    try_more(rate);
    return;
  }
  known_rate_ += (rate - known_rate_) * kWeightOfNewest;
  if (++quiet_windows_ < kQuietWindows) {
    return;
  }
  const bool fewer = next_is_fewer_ && limit_ > least_;
  next_is_fewer_ = !next_is_fewer_;
  if (fewer) {
    before_ = limit_;
    limit_ = std::max(least_, step_down(limit_));
    begin_trial(Trial::fewer);
  } else {
    try_more(known_rate_);
  }
}

void ConcurrencyLimit::try_more(double rate) noexcept {
  if (limit_ == most_) {
    stay(rate);
    return;
  }
  before_ = limit_;
  limit_ = std::min(most_, step_up(limit_));
  known_rate_ = rate;
  begin_trial(Trial::more);
}

void ConcurrencyLimit::begin_trial(Trial trial) noexcept {
  trial_ = trial;
  trial_sum_ = 0;
  trial_windows_ = 0;
}

void ConcurrencyLimit::go_back() noexcept {
  limit_ = before_;
  stay(known_rate_);
}

void ConcurrencyLimit::stay(double rate) noexcept {
  trial_ = Trial::none;
  known_rate_ = rate;
  quiet_windows_ = 0;
  odd_windows_ = 0;
}

}  // namespace m2b
