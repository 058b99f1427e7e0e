#include "m2b/util/backoff.hpp"

#include <algorithm>

namespace m2b {

Backoff::Backoff(BackoffPolicy policy, std::uint64_t seed) : policy_(policy), random_(seed) {}

std::chrono::milliseconds Backoff::ceiling(const BackoffPolicy& policy,
                                           std::uint32_t attempt) noexcept {
  constexpr std::uint32_t kMaxDoublings = 30;  // far beyond any cap; keeps the shift defined
  const std::int64_t factor = std::int64_t{1} << std::min(attempt, kMaxDoublings);
  return std::min(policy.cap, policy.base * factor);
}

std::chrono::milliseconds Backoff::next() {
  std::uniform_int_distribution<std::chrono::milliseconds::rep> delay(
      0, ceiling(policy_, attempt_).count());
  ++attempt_;
  return std::chrono::milliseconds(delay(random_));
}

}  // namespace m2b
