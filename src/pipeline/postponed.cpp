#include "pipeline/postponed.hpp"

#include <algorithm>
#include <utility>

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

void Postponed::wait_for(std::string_view group, Delivery delivery) {
  Waiting& waiting = groups_[Group(group)];
  (delivery.history.refusals == 0 ? waiting.untried : waiting.refused)
      .push_back(without_memory(std::move(delivery)));
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

void Postponed::release(std::string_view group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) {
    return;
  }
  for (std::deque<Delivery>* const each : {&found->second.untried, &found->second.refused}) {
    if (!each->empty()) {
      released_size_ += each->size();
      released_.push_back(std::move(*each));
    }
  }
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

std::optional<Delivery> Postponed::take_of(std::string_view group) {
  const auto found = groups_.find(group);
  return found == groups_.end() ? std::nullopt : std::optional(take_from(found));
}

Delivery Postponed::take_from(Groups::iterator group) {
  Waiting& waiting = group->second;
  const bool is_untried = !waiting.untried.empty();
  std::deque<Delivery>& deliveries = is_untried ? waiting.untried : waiting.refused;
  Delivery delivery;
  if (is_untried && std::exchange(waiting.newest_next, !waiting.newest_next)) {
    delivery = std::move(deliveries.back());
    deliveries.pop_back();
  } else {
    delivery = std::move(deliveries.front());
    deliveries.pop_front();
  }
  if (waiting.untried.empty() && waiting.refused.empty()) {
    groups_.erase(group);
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
  const auto is_untried = [](const auto& each) { return !each.second.untried.empty(); };
  const auto widest = std::ranges::find_if(groups_, [&is_untried](const auto& each) {
    return is_untried(each) && CircuitBreakers::size_bits_of(each.first) != 0;
  });
  if (std::exchange(widest_next_, !widest_next_) && widest != groups_.end()) {
    return take_from(widest);
  }
  const auto behind_last = groups_.upper_bound(taken_last_);
  auto next = std::find_if(behind_last, groups_.end(), is_untried);
  if (next == groups_.end()) {
    next = std::find_if(groups_.begin(), behind_last, is_untried);
  }
  if (next == groups_.end() || !is_untried(*next)) {
    next = behind_last;  // all were refused
    if (next == groups_.end()) {
      taken_last_.clear();
      if (auto alone = take_due(Time::max())) {
        return alone;
      }
      next = groups_.begin();
    }
  }
  if (next == groups_.end()) {
    return std::nullopt;
  }
  taken_last_ = next->first;
  return take_from(next);
}

void Postponed::prefer(std::string_view group) {
  if (group == CircuitBreakers::kEverything) {
    widest_next_ = true;
    return;
  }
  if (const auto found = groups_.find(group); found != groups_.end()) {
    found->second.newest_next = true;
  }
}

std::optional<Postponed::Time> Postponed::next_due() const {
  return alone_.empty() ? std::nullopt : std::optional(alone_.top().at);
}

std::string Postponed::state(std::uint64_t stored_count) const {
  std::string text = (widest_next_ ? "widest next, last " : "last ") + taken_last_;
  for (const auto& [group, waiting] : groups_) {
    text += "; " + group + (waiting.newest_next ? " newest next" : "");
    for (const auto* const deliveries : {&waiting.untried, &waiting.refused}) {
      for (const Delivery& delivery : *deliveries) {
        text += " " + delivery.state(stored_count);
      }
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

std::size_t Postponed::size_of(std::string_view group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second.untried.size() + found->second.refused.size();
}

}  // namespace m2b
