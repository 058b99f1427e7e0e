#include "pipeline/key_order.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

namespace m2b {

KeyOrder::KeyOrder(const KeyOrder& other)
    : window_(other.window_), unloaded_(other.unloaded_), live_(other.live_) {
  for (const auto& [key, queue] : other.queues_) {
    Queue& copy = queues_[key];
    copy.stuck = queue.stuck;
    copy.waiting = queue.waiting ? std::make_unique<std::deque<Delivery>>(*queue.waiting) : nullptr;
  }
}

KeyOrder::Release KeyOrder::admit(const Delivery& delivery) {
  assert(window_.empty() || window_.back().id < delivery.id);
  Slot& slot = window_.emplace_back();
  slot.id = delivery.id;
  if (live_.state(delivery.id) == LiveLane::State::none) {
    return {.to_decode = delivery};
  }
  slot.live = delivery;
  return release_window();
}

KeyOrder::Release KeyOrder::decoded(Delivery delivery) {
  Release release;
  if (delivery.has_turn) {
    release.ready.push_back(std::move(delivery));
    return release;
  }
  if (delivery.is_late) {
    register_key(std::move(delivery), release);
    return release;
  }
  Slot& slot = slot_of(delivery.id);
  slot.decoded = true;
  slot.delivery = std::move(delivery);
  return release_window();
}

KeyOrder::Release KeyOrder::dropped(SpoolId id) {
  slot_of(id).decoded = true;
  return release_window();
}

bool KeyOrder::claim_live(SpoolId id, std::uint64_t key_hash) {
  return !queues_.contains(key_hash) && live_.claim(id, key_hash);
}

KeyOrder::Release KeyOrder::ended_live(SpoolId id, bool stored) {
  live_.end(id, stored);
  return release_window();
}

KeyOrder::Release KeyOrder::removed_live() {
  assert(!window_.empty());
  window_.pop_front();
  return release_window();
}

std::size_t KeyOrder::postponed(std::uint64_t key_hash) {
  Queue& queue = queues_.at(key_hash);
  queue.stuck = true;
  std::size_t freed_bytes = 0;
  if (queue.waiting) {
    for (Delivery& delivery : *queue.waiting) {
      freed_bytes += unload(delivery);
    }
  }
  return freed_bytes;
}

std::optional<Delivery> KeyOrder::finished(std::uint64_t key_hash) {
  const auto found = queues_.find(key_hash);
  assert(found != queues_.end());
  Queue& queue = found->second;
  if (!queue.waiting || queue.waiting->empty()) {
    queues_.erase(found);
    return std::nullopt;
  }
  Delivery next = std::move(queue.waiting->front());
  queue.waiting->pop_front();
  unloaded_ -= next.object ? 0 : 1;
  next.has_turn = true;
  return next;
}

std::string KeyOrder::state(std::uint64_t stored_count) const {
  std::string text = "window";
  for (const Slot& slot : window_) {
    text += " " + std::to_string(to_number(slot.id)) + (slot.decoded ? "d" : "");
    if (slot.delivery) {
      text += ":" + slot.delivery->state(stored_count);
    }
    if (slot.live) {
      text += ":live:" + slot.live->state(stored_count);
    }
  }
  // Neither the order nor the size of the table is part of the state.
  std::map<std::uint64_t, const Queue*> queues;
  for (const auto& [key, queue] : queues_) {
    queues.emplace(key, &queue);
  }
  text += "; queues";
  for (const auto& [key, queue] : queues) {
    text += " " + std::to_string(key) + (queue->stuck ? "stuck" : "");
    for (const Delivery& delivery : queue->waiting ? *queue->waiting : std::deque<Delivery>{}) {
      text += "," + delivery.state(stored_count);
    }
  }
  return text + "; unloaded " + std::to_string(unloaded_) + "; live" + live_.state();
}

KeyOrder::Slot& KeyOrder::slot_of(SpoolId id) {
  const auto slot = std::ranges::lower_bound(window_, id, {}, &Slot::id);
  assert(slot != window_.end() && slot->id == id);
  return *slot;
}

KeyOrder::Release KeyOrder::release_window() {
  Release release;
  while (!window_.empty()) {
    Slot& front = window_.front();
    if (front.live) {
      end_live_turn(front, release);
    }
    if (!front.decoded) {
      break;
    }
    if (front.delivery) {
      register_key(*std::move(front.delivery), release);
    }
    window_.pop_front();
  }
  return release;
}

/// Only here it is certain that no earlier record has its key: all of them are registered.
void KeyOrder::end_live_turn(Slot& front, Release& release) {
  switch (live_.state(front.id)) {
    case LiveLane::State::running:
      break;
    case LiveLane::State::stored:
      live_.forget(front.id);
      release.stored_live = std::exchange(front.live, std::nullopt);
      break;
    case LiveLane::State::none:
      release.to_decode = std::exchange(front.live, std::nullopt);
      break;
  }
}

void KeyOrder::register_key(Delivery delivery, Release& release) {
  live_.overwrite(delivery.key_hash);
  const auto [queue, is_first] = queues_.try_emplace(delivery.key_hash);
  if (is_first) {
    delivery.has_turn = true;
    release.ready.push_back(std::move(delivery));
    return;
  }
  if (queue->second.stuck) {
    release.freed_bytes += unload(delivery);
  }
  if (!queue->second.waiting) {
    queue->second.waiting = std::make_unique<std::deque<Delivery>>();
  }
  queue->second.waiting->push_back(std::move(delivery));
}

std::size_t KeyOrder::unload(Delivery& delivery) {
  if (!delivery.object) {
    return 0;
  }
  delivery.object.reset();
  ++unloaded_;
  return std::exchange(delivery.budget_bytes, 0);
}

}  // namespace m2b
