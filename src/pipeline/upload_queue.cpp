#include "pipeline/upload_queue.hpp"

#include <algorithm>
#include <utility>

namespace m2b {

void UploadQueue::push(UploadJob job) {
  {
    const std::lock_guard lock(mutex_);
    (job.early ? early_ : in_turn_).push_back(std::move(job));
  }
  filled_.notify_one();
}

std::optional<UploadJob> UploadQueue::pop() {
  std::unique_lock lock(mutex_);
  filled_.wait(lock, [this] { return closed_ || !early_.empty() || !in_turn_.empty(); });
  if (closed_) {
    return std::nullopt;
  }
  return take(early_goes_first() ? early_ : in_turn_);
}

std::optional<UploadJob> UploadQueue::try_pop(bool early) {
  const std::lock_guard lock(mutex_);
  Lane& lane = early ? early_ : in_turn_;
  if (closed_ || lane.empty()) {
    return std::nullopt;
  }
  return take(lane);
}

std::size_t UploadQueue::size(bool early) const {
  const std::lock_guard lock(mutex_);
  return early ? early_.size() : in_turn_.size();
}

std::size_t UploadQueue::size() const {
  const std::lock_guard lock(mutex_);
  return early_.size() + in_turn_.size();
}

void UploadQueue::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  filled_.notify_all();
}

bool UploadQueue::early_goes_first() const {
  return !early_.empty() && (in_turn_.empty() || early_debt_ <= 0);
}

UploadJob UploadQueue::take(Lane& lane) {
  UploadJob job = std::move(lane.front());
  lane.pop_front();
  const auto bytes = static_cast<std::int64_t>(job.object->body.size());
  if (!job.early) {
    // What the early lane leaves unused now it does not get later.
    early_debt_ = std::max<std::int64_t>(0, early_debt_ - bytes * early_percent_);
  } else if (!in_turn_.empty()) {
    early_debt_ += bytes * (100 - early_percent_);
  }
  return job;
}

}  // namespace m2b
