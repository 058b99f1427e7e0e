#include "pipeline/postponed.hpp"

#include <utility>

#include <fmt/format.h>

namespace m2b {
namespace {

Delivery without_memory(Delivery delivery) {
  delivery.object.reset();
  delivery.budget_bytes = 0;
  delivery.is_solo = false;
  delivery.is_probe = false;
  return delivery;
}

}  // namespace

void Postponed::wait_for(const Group& group, Delivery delivery) {
  groups_[group].deliveries.push_back(without_memory(std::move(delivery)));
  ++size_;
}

void Postponed::wait_until(Time due, Delivery delivery) {
  refused_alone_ += delivery.history.refusals > 0 ? 1 : 0;
  alone_.push({due, without_memory(std::move(delivery))});
  ++size_;
}

void Postponed::release(Delivery delivery) {
  if (released_.empty()) {
    released_.emplace_back();
  }
  released_.back().push_back(without_memory(std::move(delivery)));
  ++size_;
  ++released_size_;
}

void Postponed::release(const Group& group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) {
    return;
  }
  released_size_ += found->second.deliveries.size();
  released_.push_back(std::move(found->second.deliveries));
  groups_.erase(found);
}

void Postponed::hurry_next(Time now) {
  if (alone_.empty() || alone_.top().at <= now) {
    return;
  }
  Due next = alone_.top();
  alone_.pop();
  next.at = now;
  alone_.push(std::move(next));
}

const Delivery* Postponed::first_released() const {
  return released_.empty() ? nullptr : &released_.front().front();
}

std::optional<Delivery> Postponed::take_released() {
  if (released_.empty()) {
    return std::nullopt;
  }
  std::deque<Delivery>& front = released_.front();
  Delivery delivery = std::move(front.front());
  front.pop_front();
  if (front.empty()) {
    released_.pop_front();
  }
  --size_;
  --released_size_;
  return delivery;
}

std::optional<Delivery> Postponed::take_of(const Group& group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) {
    return std::nullopt;
  }
  Waiting& waiting = found->second;
  Delivery delivery;
  if (std::exchange(waiting.newest_next, !waiting.newest_next)) {
    delivery = std::move(waiting.deliveries.back());
    waiting.deliveries.pop_back();
  } else {
    delivery = std::move(waiting.deliveries.front());
    waiting.deliveries.pop_front();
  }
  if (waiting.deliveries.empty()) {
    groups_.erase(found);
  }
  --size_;
  return delivery;
}

std::optional<Delivery> Postponed::take_due(Time now) {
  if (alone_.empty() || alone_.top().at > now) {
    return std::nullopt;
  }
  Delivery delivery = alone_.top().delivery;
  alone_.pop();
  refused_alone_ -= delivery.history.refusals > 0 ? 1 : 0;
  --size_;
  return delivery;
}

std::optional<Delivery> Postponed::take_any() {
  // Those of a class of sizes have no prefix that is blocked: they tell more.
  const auto widest = groups_.begin();
  const bool is_wide = widest != groups_.end() && CircuitBreakers::size_bits_of(widest->first) != 0;
  if (std::exchange(widest_next_, !widest_next_) && is_wide) {
    return take_of(Group(widest->first));
  }
  // The groups in the order of their names, then those that wait alone, and round again.
  const auto next = groups_.upper_bound(taken_last_);
  if (next != groups_.end()) {
    taken_last_ = next->first;
    return take_of(taken_last_);
  }
  taken_last_.clear();
  if (auto alone = take_due(Time::max())) {
    return alone;
  }
  if (groups_.empty()) {
    return std::nullopt;
  }
  taken_last_ = groups_.begin()->first;
  return take_of(taken_last_);
}

std::optional<Postponed::Time> Postponed::next_due() const {
  return alone_.empty() ? std::nullopt : std::optional(alone_.top().at);
}

std::string Postponed::state(std::uint64_t stored_count) const {
  std::string text = "last " + taken_last_;
  for (const auto& [group, waiting] : groups_) {
    text += fmt::format("; {}{}", group, waiting.newest_next ? " newest next" : "");
    for (const Delivery& delivery : waiting.deliveries) {
      text += " " + delivery.state(stored_count);
    }
  }
  text += "; alone";
  for (auto alone = alone_; !alone.empty(); alone.pop()) {
    text += " " + alone.top().delivery.state(stored_count);
  }
  for (const auto& released : released_) {
    text += "; released";
    for (const Delivery& delivery : released) {
      text += " " + delivery.state(stored_count);
    }
  }
  return text;
}

std::size_t Postponed::size_of(const Group& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second.deliveries.size();
}

}  // namespace m2b
