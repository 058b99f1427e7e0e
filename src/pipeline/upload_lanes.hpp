#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/delivery.hpp"

namespace m2b {

/// The deliveries that wait in memory for an uploader, in two lanes, each first in, first out:
/// those whose turn it is, dead letters among them, and live ones, ahead of their turn. While both
/// have some, the live lane gets its share of the bytes and goes first until it has had it. Holds
/// what the budgets admit and knows no limit of its own. Not thread-safe.
class UploadLanes {
 public:
  /// `live_percent` from 0 to 100.
  explicit UploadLanes(unsigned live_percent) noexcept : live_percent_(live_percent) {}

  void push(Delivery delivery);
  /// The next one, of whichever lane it is.
  [[nodiscard]] std::optional<Delivery> pop();
  /// A live one that may go.
  [[nodiscard]] std::optional<Delivery> pop_live();
  /// The next one of that lane, whatever the shares are.
  [[nodiscard]] std::optional<Delivery> pop_of(Lane lane);
  /// The one with the lowest rank; of several, a live one before the others, and the oldest of its
  /// lane. Looks at no more than kRanked of each lane.
  [[nodiscard]] std::optional<Delivery> pop_lowest(
      const std::function<std::size_t(const Delivery&)>& rank);
  /// Takes out all that satisfy it.
  [[nodiscard]] std::vector<Delivery> remove_if(
      const std::function<bool(const Delivery&)>& satisfies);

  [[nodiscard]] bool live_may_go() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return in_turn_.size() + live_.size(); }
  [[nodiscard]] std::size_t size_of(Lane lane) const noexcept;
  /// Of the bodies that wait for their turn.
  [[nodiscard]] std::size_t bytes_in_turn() const noexcept { return bytes_in_turn_; }

  /// As InFlight::state().
  [[nodiscard]] std::string state(std::uint64_t stored_count) const;

 private:
  using Deliveries = std::deque<Delivery>;
  static constexpr std::size_t kRanked = 256;

  [[nodiscard]] Deliveries& lane_of(Lane lane) noexcept {
    return lane == Lane::live ? live_ : in_turn_;
  }
  [[nodiscard]] std::optional<Delivery> take(Deliveries& lane, std::size_t index = 0);
  void account(const Delivery& delivery);

  std::int64_t live_percent_;
  Deliveries in_turn_;
  Deliveries live_;
  std::size_t bytes_in_turn_ = 0;
  std::int64_t live_debt_ = 0;  // bytes that the live lane has had above its share, times 100
};

}  // namespace m2b
