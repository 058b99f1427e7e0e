#include "pipeline/key_order.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace m2b {

void KeyOrder::admit(SpoolId id) {
  assert(window_.empty() || window_.back().id < id);
  window_.push_back({id, false, std::nullopt});
}

KeyOrder::Release KeyOrder::decoded(UploadJob job) {
  Release release;
  if (running_.contains(to_number(job.id))) {
    release.ready.push_back(std::move(job));  // it came round again: its key is still its own
    return release;
  }
  if (job.postponements > 0) {
    register_key(std::move(job), release);  // it had become nothing, and is an object after all
    return release;
  }
  Slot& slot = slot_of(job.id);
  slot.decoded = true;
  slot.job = std::move(job);
  return release_window();
}

KeyOrder::Release KeyOrder::dropped(SpoolId id) {
  slot_of(id).decoded = true;
  return release_window();
}

std::size_t KeyOrder::postponed(SpoolId id) {
  const auto running = running_.find(to_number(id));
  if (running == running_.end()) {
    return 0;
  }
  Line& line = lines_.at(running->second);
  line.stuck = true;
  std::size_t freed_bytes = 0;
  for (UploadJob& job : line.waiting) {
    freed_bytes += park(job);
  }
  return freed_bytes;
}

std::optional<UploadJob> KeyOrder::finished(SpoolId id) {
  const auto running = running_.find(to_number(id));
  if (running == running_.end()) {
    return std::nullopt;  // it never had a key
  }
  const ObjectKey key = std::move(running->second);
  running_.erase(running);
  const auto line = lines_.find(key);
  assert(line != lines_.end());
  if (line->second.waiting.empty()) {
    lines_.erase(line);
    return std::nullopt;
  }
  UploadJob next = std::move(line->second.waiting.front());
  line->second.waiting.pop_front();
  parked_ -= next.object ? 0 : 1;
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

KeyOrder::Release KeyOrder::release_window() {
  Release release;
  while (!window_.empty() && window_.front().decoded) {
    std::optional<UploadJob> job = std::move(window_.front().job);
    window_.pop_front();
    if (job) {
      register_key(std::move(*job), release);
    }
  }
  return release;
}

void KeyOrder::register_key(UploadJob job, Release& release) {
  const ObjectKey& key = job.object->key;
  const auto [line, first] = lines_.try_emplace(key);
  if (first) {
    running_.emplace(to_number(job.id), key);
    release.ready.push_back(std::move(job));
    return;
  }
  if (line->second.stuck) {
    release.freed_bytes += park(job);
  }
  line->second.waiting.push_back(std::move(job));
}

std::size_t KeyOrder::park(UploadJob& job) {
  if (!job.object) {
    return 0;
  }
  job.object.reset();
  ++parked_;
  return std::exchange(job.budget_bytes, 0);
}

}  // namespace m2b
