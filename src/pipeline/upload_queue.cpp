#include "pipeline/upload_queue.hpp"

#include <algorithm>
#include <utility>

namespace m2b {
namespace {

/// What the early lane may have ahead of its share: as much as a batch of the others, which holds
/// an uploader for long and pays that back at once.
constexpr std::int64_t kAheadBytes = std::int64_t{2} << 20;

}  // namespace

void UploadQueue::push(UploadJob job) {
  const std::lock_guard lock(mutex_);
  if (job.early) {
    early_may_go_.notify_one();
  }
  filled_.notify_one();  // also of an early one: those in pop_early() may all be on their way
  bytes_in_turn_ += job.early ? 0 : job.object->body.size();
  (job.early ? early_ : in_turn_).push_back(std::move(job));
}

std::optional<UploadJob> UploadQueue::pop() {
  std::unique_lock lock(mutex_);
  filled_.wait(lock, [this] { return closed_ || !early_.empty() || !in_turn_.empty(); });
  if (closed_) {
    return std::nullopt;
  }
  return take(early_may_go() ? early_ : in_turn_);
}

std::optional<UploadJob> UploadQueue::pop_early() {
  std::unique_lock lock(mutex_);
  early_may_go_.wait(lock, [this] { return closed_ || early_may_go(); });
  if (closed_) {
    return std::nullopt;
  }
  return take(early_);
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

std::size_t UploadQueue::bytes_in_turn() const {
  const std::lock_guard lock(mutex_);
  return bytes_in_turn_;
}

void UploadQueue::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  filled_.notify_all();
  early_may_go_.notify_all();
}

bool UploadQueue::early_may_go() const {
  return !early_.empty() && (in_turn_.empty() || early_debt_ <= kAheadBytes * 100);
}

UploadJob UploadQueue::take(Lane& lane) {
  UploadJob job = std::move(lane.front());
  lane.pop_front();
  const auto bytes = static_cast<std::int64_t>(job.object->body.size());
  if (!job.early) {
    bytes_in_turn_ -= job.object->body.size();
    // What the early lane leaves unused now it does not get later.
    early_debt_ = std::max<std::int64_t>(0, early_debt_ - bytes * early_percent_);
    if (early_may_go()) {
      early_may_go_.notify_one();
    }
  } else if (!in_turn_.empty()) {
    early_debt_ += bytes * (100 - early_percent_);
  }
  return job;
}

}  // namespace m2b
