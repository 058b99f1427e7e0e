#include "pipeline/upload_slots.hpp"

#include <algorithm>
#include <chrono>

namespace m2b {

bool UploadSlots::take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!freed_.wait(lock, stop, [this] { return taken_ < limit_.value(); })) {
    return false;
  }
  ++taken_;
  return true;
}

void UploadSlots::give_back(const ConcurrencyLimit::Ended& ended) {
  std::size_t grown_to = 0;
  {
    const std::lock_guard lock(mutex_);
    --taken_;
    const auto now = std::chrono::steady_clock::now();
    limit_.note(ended, now);
    if (limit_.value() > most_ && now >= grow_again_at_) {
      grown_to = most_ = limit_.value();
    }
    const std::size_t free = limit_.value() - std::min(taken_, limit_.value());
    if (free > 1) {
      freed_.notify_all();
    } else if (free == 1) {
      freed_.notify_one();
    }
  }
  if (grown_to == 0) {
    return;
  }
  if (const std::size_t uploaders = on_growth_(grown_to); uploaders < grown_to) {
    const std::lock_guard lock(mutex_);
    most_ = std::min(most_, uploaders);
    grow_again_at_ = std::chrono::steady_clock::now() + retry_;
  }
}

std::size_t UploadSlots::count() const {
  const std::lock_guard lock(mutex_);
  return limit_.value();
}

}  // namespace m2b
