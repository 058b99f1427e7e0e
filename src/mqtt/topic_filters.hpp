#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/util/backoff.hpp"

namespace m2b {

/// Which topic filter is asked for next, and when again after a failure (decision 0033). One filter
/// a SUBSCRIBE, and one SUBSCRIBE at a time: so the code of a SUBACK, its absence, and a connection
/// that ends instead are each about one filter.
///
/// Does nothing itself; every call says what happened. Not thread-safe.
class TopicFilters {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `policy` bounds the pauses between two attempts for one refused filter. After a connection
  /// that ended, they are up to eight times as long, since each attempt costs all filters.
  TopicFilters(const std::vector<std::string>& filters, int wanted_qos, BackoffPolicy policy);

  /// A connection begins, and each filter is due. `repeat_after`: those that are granted are due
  /// only so long after they were asked for the last time.
  void begin(Time now, std::optional<std::chrono::seconds> repeat_after = std::nullopt);

  /// The filter to ask for now: nothing while an answer is awaited, or while none is due. Those
  /// that ended a connection come last.
  [[nodiscard]] std::optional<std::size_t> next(Time now) const;
  /// When the next one is due; `Time::max()` if none ever is.
  [[nodiscard]] Time next_due() const;

  void asked(std::size_t filter, Time now);
  /// The filter whose answer is awaited.
  [[nodiscard]] std::optional<std::size_t> awaited() const noexcept { return awaited_; }
  [[nodiscard]] Time asked_at() const { return entries_[awaited_.value()].asked_at; }

  /// The code of the SUBACK for the filter that is awaited; one that MQTT does not know refuses.
  /// "Packet identifier in use" (0x91) says nothing about the filter: it is due again at once,
  /// sixteen times, and only then has failed.
  void answered(int code, Time now, const BrokerStatement& statement = {});
  /// The connection ended instead, with the code of DISCONNECT if there was one, or no answer came.
  /// The filter is due at the beginning of the next connection, and after a pause from the second
  /// time on.
  void unanswered(FilterStatus::State failure, int code, Time now,
                  const BrokerStatement& statement = {});
  /// The connection has ended for another reason.
  void connection_ended() noexcept { awaited_.reset(); }

  [[nodiscard]] const FilterStatus& status(std::size_t filter) const {
    return entries_[filter].status;
  }
  [[nodiscard]] std::vector<FilterStatus> statuses() const;
  [[nodiscard]] bool all_granted() const noexcept;
  [[nodiscard]] bool any_failed() const noexcept;
  /// Whether each has been answered, or has failed.
  [[nodiscard]] bool none_pending() const noexcept;
  [[nodiscard]] std::vector<std::string> granted() const;

 private:
  struct Entry {
    FilterStatus status;
    Time due = {};
    Time asked_at = {};
    std::uint32_t ids_in_use = 0;  // answers 0x91 in a row
    Backoff pauses;
    Backoff long_pauses;

    [[nodiscard]] bool ends_connections() const noexcept {
      return status.state == FilterStatus::State::disconnected ||
             status.state == FilterStatus::State::no_answer;
    }
  };

  static void fail(Entry& entry, FilterStatus::State failure, int code, Time now,
                   const BrokerStatement& statement);

  std::vector<Entry> entries_;
  std::optional<std::size_t> awaited_;
};

}  // namespace m2b
