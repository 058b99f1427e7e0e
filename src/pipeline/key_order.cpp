#include "pipeline/key_order.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace m2b {

void KeyOrder::admit(SpoolId id) {
  assert(window_.empty() || window_.back().id < id);
  window_.push_back({id, false, std::nullopt});
}

std::vector<UploadJob> KeyOrder::decoded(UploadJob job) {
  Slot& slot = slot_of(job.id);
  slot.decoded = true;
  slot.job = std::move(job);
  return release();
}

std::vector<UploadJob> KeyOrder::dropped(SpoolId id) {
  slot_of(id).decoded = true;
  return release();
}

std::optional<UploadJob> KeyOrder::finished(SpoolId id) {
  const auto running = running_.find(to_number(id));
  assert(running != running_.end());
  const ObjectKey key = std::move(running->second);
  running_.erase(running);
  const auto waiting = waiting_.find(key);
  assert(waiting != waiting_.end());
  if (waiting->second.empty()) {
    waiting_.erase(waiting);
    return std::nullopt;
  }
  UploadJob next = std::move(waiting->second.front());
  waiting->second.pop_front();
  running_.emplace(to_number(next.id), key);
  return next;
}

KeyOrder::Slot& KeyOrder::slot_of(SpoolId id) {
  const auto slot =
      std::lower_bound(window_.begin(), window_.end(), id,
                       [](const Slot& one, SpoolId wanted) { return one.id < wanted; });
  assert(slot != window_.end() && slot->id == id);
  return *slot;
}

std::vector<UploadJob> KeyOrder::release() {
  std::vector<UploadJob> ready;
  while (!window_.empty() && window_.front().decoded) {
    std::optional<UploadJob> job = std::move(window_.front().job);
    window_.pop_front();
    if (!job) {
      continue;
    }
    const ObjectKey& key = job->object->key;
    const auto [waiting, first] = waiting_.try_emplace(key);
    if (first) {
      running_.emplace(to_number(job->id), key);
      ready.push_back(std::move(*job));
    } else {
      waiting->second.push_back(std::move(*job));
    }
  }
  return ready;
}

}  // namespace m2b
