#include "pipeline/upload_lanes.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace m2b {
namespace {

/// What the live lane may have ahead of its share: as much as a batch of the others, which holds an
/// uploader for long and pays that back at once.
constexpr std::int64_t kAheadBytes = std::int64_t{2} << 20;

}  // namespace

void UploadLanes::push(Delivery delivery) {
  if (delivery.lane != Lane::live) {
    bytes_in_turn_ += delivery.object->body.size();
  }
  lane_of(delivery.lane).push_back(std::move(delivery));
}

std::optional<Delivery> UploadLanes::pop() { return take(live_may_go() ? live_ : in_turn_); }

std::optional<Delivery> UploadLanes::pop_live() {
  return live_may_go() ? take(live_) : std::nullopt;
}

std::optional<Delivery> UploadLanes::pop_of(Lane lane) { return take(lane_of(lane)); }

std::optional<Delivery> UploadLanes::pop_lowest(
    const std::function<std::size_t(const Delivery&)>& rank) {
  Deliveries* lane = nullptr;
  std::size_t index = 0;
  std::size_t lowest = 0;
  for (Deliveries* const each : {&live_, &in_turn_}) {
    for (std::size_t i = 0; i < std::min(each->size(), kRanked); ++i) {
      const std::size_t found = rank((*each)[i]);
      if (lane == nullptr || found < lowest) {
        lane = each;
        index = i;
        lowest = found;
      }
    }
  }
  return lane == nullptr ? std::nullopt : take(*lane, index);
}

std::vector<Delivery> UploadLanes::remove_if(
    const std::function<bool(const Delivery&)>& satisfies) {
  std::vector<Delivery> removed;
  for (Deliveries* const lane : {&in_turn_, &live_}) {
    const auto first = std::stable_partition(
        lane->begin(), lane->end(),
        [&satisfies](const Delivery& delivery) { return !satisfies(delivery); });
    for (auto each = first; each != lane->end(); ++each) {
      if (each->lane != Lane::live) {
        bytes_in_turn_ -= each->object->body.size();
      }
      removed.push_back(std::move(*each));
    }
    lane->erase(first, lane->end());
  }
  return removed;
}

bool UploadLanes::live_may_go() const noexcept {
  return !live_.empty() && (in_turn_.empty() || live_debt_ <= kAheadBytes * 100);
}

std::size_t UploadLanes::size_of(Lane lane) const noexcept {
  return lane == Lane::live ? live_.size() : in_turn_.size();
}

std::string UploadLanes::state(std::uint64_t stored_count) const {
  std::string text = "debt " + std::to_string(live_debt_);
  for (const Deliveries* const lane : {&in_turn_, &live_}) {
    for (const Delivery& delivery : *lane) {
      text += " " + delivery.state(stored_count);
    }
  }
  return text;
}

std::optional<Delivery> UploadLanes::take(Deliveries& lane, std::size_t index) {
  if (index >= lane.size()) {
    return std::nullopt;
  }
  Delivery delivery = std::move(lane[index]);
  lane.erase(std::next(lane.begin(), static_cast<std::ptrdiff_t>(index)));
  account(delivery);
  return delivery;
}

void UploadLanes::account(const Delivery& delivery) {
  const auto bytes = static_cast<std::int64_t>(delivery.object->body.size());
  if (delivery.lane != Lane::live) {
    bytes_in_turn_ -= delivery.object->body.size();
    // What the live lane leaves unused now it does not get later.
    live_debt_ = std::max<std::int64_t>(0, live_debt_ - bytes * live_percent_);
  } else if (!in_turn_.empty()) {
    live_debt_ += bytes * (100 - live_percent_);
  }
}

}  // namespace m2b
