#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/circuit_breakers.hpp"
#include "pipeline/delivery.hpp"

namespace m2b {

/// The deliveries that wait without their memory, to be read from the spool again: until the
/// circuit breaker of their group closes, until a time of their own, or, their reason being over,
/// until there is room. Some 150 bytes each. Not thread-safe.
class Postponed {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Group = CircuitBreakers::Group;

  void wait_for(std::string_view group, Delivery delivery);
  void wait_until(Time due, Delivery delivery);
  /// It may go as soon as there is room.
  void release(Delivery delivery);
  /// So may all of the group.
  void release(std::string_view group);
  /// The next one with a time of its own is due now.
  void hurry_next(Time now);

  /// The first of those that may go.
  [[nodiscard]] const Delivery* first_released() const;
  [[nodiscard]] std::optional<Delivery> take_released();
  /// One of the group: of those that were never refused, the newest and the oldest by turns; of the
  /// others, the one that was refused longest ago.
  [[nodiscard]] std::optional<Delivery> take_of(std::string_view group);
  [[nodiscard]] std::optional<Delivery> take_due(Time now);
  /// Any, whatever it waits for. Those that were never refused first: by turns one of a class of
  /// sizes, whose prefix is not blocked, and one of the next group. Then the others, of each group
  /// in turn, and those with a time of their own.
  [[nodiscard]] std::optional<Delivery> take_any();
  /// The next one of the group, or for everything one of a class of sizes, is to be the newest.
  void prefer(std::string_view group);

  [[nodiscard]] std::optional<Time> next_due() const;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Those that may not go yet.
  [[nodiscard]] std::size_t size_unreleased() const noexcept { return size_ - released_size_; }
  /// Those with a time of their own that the store has refused; others wait for the disk.
  [[nodiscard]] std::size_t size_refused_alone() const noexcept { return refused_alone_; }
  [[nodiscard]] std::size_t size_of(std::string_view group) const;

  /// As InFlight::state().
  [[nodiscard]] std::string state(std::uint64_t stored_count) const;

 private:
  struct Due {
    Time at;
    Delivery delivery;
    friend bool operator>(const Due& a, const Due& b) {
      return a.at != b.at ? a.at > b.at : a.delivery.id > b.delivery.id;
    }
  };
  struct Waiting {
    std::deque<Delivery> untried;
    std::deque<Delivery> refused;
    bool newest_next = true;
  };
  using Groups = std::map<Group, Waiting, std::less<>>;

  [[nodiscard]] Delivery take_from(Groups::iterator group);

  Groups groups_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> alone_;
  std::deque<std::deque<Delivery>> released_;  // none of them empty
  Group taken_last_;                           // by take_any()
  bool widest_next_ = true;
  std::size_t size_ = 0;
  std::size_t released_size_ = 0;
  std::size_t refused_alone_ = 0;
};

}  // namespace m2b
