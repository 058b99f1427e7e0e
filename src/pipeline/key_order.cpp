#include "pipeline/key_order.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace m2b {

KeyOrder::Release KeyOrder::admit(const DecodeJob& job) {
  assert(window_.empty() || window_.back().id < job.id);
  Slot& slot = window_.emplace_back();
  slot.id = job.id;
  if (early_.state(job.id) == EarlyUploads::State::none) {
    return {.to_decode = job};
  }
  slot.early = job;
  return release_window();
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

bool KeyOrder::claim_early(SpoolId id, const ObjectKey& key) {
  return !lines_.contains(key) && early_.claim(id, key);
}

KeyOrder::Release KeyOrder::ended_early(SpoolId id, bool stored) {
  early_.end(id, stored);
  return release_window();
}

KeyOrder::Release KeyOrder::removed_early() {
  assert(!window_.empty());
  window_.pop_front();
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
  while (!window_.empty()) {
    Slot& front = window_.front();
    if (front.early) {
      settle_early(front, release);
    }
    if (!front.decoded) {
      break;
    }
    if (front.job) {
      register_key(*std::move(front.job), release);
    }
    window_.pop_front();
  }
  return release;
}

/// Only here it is certain that no earlier record has its key: all of them are registered.
void KeyOrder::settle_early(Slot& front, Release& release) {
  switch (early_.state(front.id)) {
    case EarlyUploads::State::running:
      break;
    case EarlyUploads::State::stored:
      early_.forget(front.id);
      release.stored_early = std::exchange(front.early, std::nullopt);
      break;
    case EarlyUploads::State::none:
      release.to_decode = std::exchange(front.early, std::nullopt);
      break;
  }
}

void KeyOrder::register_key(UploadJob job, Release& release) {
  const ObjectKey& key = job.object->key;
  early_.overwrite(key);
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
