#include "status/history.hpp"

#include <algorithm>

namespace m2b {

Rates rates_between(const Sample& before, const Sample& after) noexcept {
  const std::chrono::duration<double> over = after.at - before.at;
  if (over.count() <= 0) {
    return {};
  }
  const auto change = [over](std::uint64_t from, std::uint64_t to) {
    return (static_cast<double>(to) - static_cast<double>(from)) / over.count();
  };
  // Mending may set the accounts back.
  const auto growth = [&change](std::uint64_t from, std::uint64_t to) {
    return std::max(change(from, to), 0.0);
  };
  return {.over = over,
          .in = growth(before.received, after.received),
          .out = growth(before.stored, after.stored),
          .out_bytes = growth(before.stored_bytes, after.stored_bytes),
          .backlog = change(before.waiting, after.waiting),
          .refused = change(before.refused, after.refused),
          .used_bytes = change(before.used_bytes, after.used_bytes)};
}

void History::add(const Sample& sample) {
  const std::lock_guard lock(mutex_);
  samples_.push_back(sample);
  if (samples_.size() > kMaxSamples) {
    samples_.pop_front();
  }
}

Rates History::rates(const Sample& now, std::chrono::seconds at_least) const {
  const std::lock_guard lock(mutex_);
  return samples_.empty() ? Rates{} : rates_between(sample_before(now.at - at_least), now);
}

std::uint64_t History::connections_lost(const Sample& now, std::chrono::seconds within) const {
  return growth(&Sample::connections_lost, now, within);
}

std::uint64_t History::store_outages(const Sample& now, std::chrono::seconds within) const {
  return growth(&Sample::store_outages, now, within);
}

std::uint64_t History::growth(std::uint64_t Sample::*counter, const Sample& now,
                              std::chrono::seconds within) const {
  const std::lock_guard lock(mutex_);
  return samples_.empty() ? now.*counter : now.*counter - sample_before(now.at - within).*counter;
}

std::chrono::seconds History::oldest_unchanged_for(const Sample& now) const {
  return lasts(now, [&now](const Sample& sample) {
    return now.oldest != WallTime{} && sample.oldest == now.oldest;
  });
}

std::chrono::seconds History::stands_still_for(const Sample& now) const {
  return lasts(now, [&now](const Sample& sample) {
    return sample.progress == now.progress && sample.waiting > sample.refused;
  });
}

std::chrono::seconds History::lasts(const Sample& now,
                                    const std::function<bool(const Sample& sample)>& is_so) const {
  const std::lock_guard lock(mutex_);
  std::chrono::steady_clock::time_point since = now.at;
  if (is_so(now)) {
    for (auto sample = samples_.rbegin(); sample != samples_.rend() && is_so(*sample); ++sample) {
      since = sample->at;
    }
  }
  return std::chrono::floor<std::chrono::seconds>(now.at - since);
}

Sample History::sample_before(std::chrono::steady_clock::time_point time) const {
  const auto later = std::ranges::upper_bound(samples_, time, {}, &Sample::at);
  return later == samples_.begin() ? samples_.front() : *std::prev(later);
}

History::Curves History::curves() const {
  const std::lock_guard lock(mutex_);
  Curves curves;
  for (std::size_t i = 1; i < samples_.size(); ++i) {
    const Rates rates = rates_between(samples_[i - 1], samples_[i]);
    curves.in.push_back(rates.in);
    curves.out.push_back(rates.out);
    curves.backlog.push_back(samples_[i].waiting);
  }
  return curves;
}

}  // namespace m2b
