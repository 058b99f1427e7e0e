#include "m2b/upload/clock_offset.hpp"

#include "m2b/util/log.hpp"

namespace m2b {

bool is_plausible_now(std::chrono::sys_seconds time) noexcept {
  using std::chrono::year;
  constexpr std::chrono::sys_days kFirst{year{2020} / 1 / 1};
  constexpr std::chrono::sys_days kEnd{year{2100} / 1 / 1};
  return time >= kFirst && time < kEnd;
}

void ClockOffset::adopt(std::chrono::seconds offset) {
  const Rep before = seconds_.exchange(offset.count(), std::memory_order_relaxed);
  if (std::chrono::abs(std::chrono::seconds(before) - offset) <= kSame) return;
  // Whoever answers can make it change as often as it likes.
  if (const auto held_back = changes_.admit("clock")) {
    log::warn("upload", "the store refused our clock; signing with its time from now on",
              {{"offset_seconds", offset.count()}, {"repeated", *held_back}});
  }
}

}  // namespace m2b
