#include "bench/latencies.hpp"

#include <algorithm>
#include <limits>

#include "bench/pictures.hpp"

namespace m2b::bench {

void Latencies::note(Times& times, std::size_t number) noexcept {
  if (number >= times.size()) return;
  std::int64_t none = 0;
  times[number].compare_exchange_strong(
      none, std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

void Latencies::answered(std::string_view request) {
  if (const auto number = picture_number(request)) stored(*number);
}

std::optional<LatencySummary> Latencies::summary(std::size_t first, std::size_t end) const {
  std::vector<std::chrono::nanoseconds> sorted;
  std::int64_t first_published = std::numeric_limits<std::int64_t>::max();
  std::int64_t last_stored = 0;
  for (std::size_t i = first; i < std::min(end, published_.size()); ++i) {
    const std::int64_t from = published_[i];
    const std::int64_t until = stored_[i];
    if (from != 0 && until != 0) {
      sorted.emplace_back(until - from);
      first_published = std::min(first_published, from);
      last_stored = std::max(last_stored, until);
    }
  }
  if (sorted.empty()) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](std::size_t percent) { return sorted[(sorted.size() - 1) * percent / 100]; };
  const std::chrono::duration<double> taken =
      std::chrono::nanoseconds(last_stored - first_published);
  return LatencySummary{at(50), at(99), sorted.back(), sorted.size(), taken.count()};
}

}  // namespace m2b::bench
