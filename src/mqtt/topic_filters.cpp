#include "mqtt/topic_filters.hpp"

#include <algorithm>
#include <tuple>

#include "mqtt/reason_codes.hpp"

namespace m2b {
namespace {

using State = FilterStatus::State;

constexpr int kHighestQos = 2;
constexpr int kLastCode = 0xFF;
/// Each costs a round trip, and the broker frees its identifiers meanwhile.
constexpr std::uint32_t kIdsTriedAtOnce = 16;

BackoffPolicy long_pauses(const BackoffPolicy& policy) {
  constexpr int kTimes = 8;
  return {.base = policy.cap, .cap = kTimes * policy.cap};
}

}  // namespace

std::string_view to_string(State state) noexcept {
  switch (state) {
    case State::pending:
      return "pending";
    case State::granted:
      return "granted";
    case State::refused:
      return "refused";
    case State::disconnected:
      return "disconnected";
    case State::no_answer:
      return "no_answer";
  }
  return "pending";
}

std::string_view FilterStatus::meaning() const noexcept {
  if (state == State::no_answer) {
    return "no SUBACK";
  }
  return state == State::disconnected && code == 0 ? "connection closed"
                                                   : describe_reason_code(code);
}

TopicFilters::TopicFilters(const std::vector<std::string>& filters, int wanted_qos,
                           BackoffPolicy policy) {
  entries_.reserve(filters.size());
  for (const std::string& filter : filters) {
    entries_.push_back({.status = {.filter = filter, .wanted_qos = wanted_qos},
                        .pauses = Backoff(policy),
                        .long_pauses = Backoff(long_pauses(policy))});
  }
}

void TopicFilters::begin(Time now, std::optional<std::chrono::seconds> repeat_after) {
  awaited_.reset();
  for (Entry& entry : entries_) {
    if (entry.ends_connections()) {
      continue;  // due when its pause is over
    }
    entry.due = now;
    entry.ids_in_use = 0;
    if (entry.status.state != State::granted) {
      continue;  // a failure counts until it is granted
    }
    if (repeat_after) {
      entry.due = std::max(now, entry.asked_at + *repeat_after);
    } else {
      entry.status.state = State::pending;
      entry.status.since = now;
    }
  }
}

std::optional<std::size_t> TopicFilters::next(Time now) const {
  if (awaited_ || entries_.empty()) {
    return std::nullopt;
  }
  const auto order = [now](const Entry& entry) {
    return std::tuple(entry.due > now, entry.ends_connections(), entry.due);
  };
  const auto first = std::ranges::min_element(entries_, {}, order);
  return first->due <= now ? std::optional(static_cast<std::size_t>(first - entries_.begin()))
                           : std::nullopt;
}

TopicFilters::Time TopicFilters::next_due() const {
  const auto first = std::ranges::min_element(entries_, {}, &Entry::due);
  return first != entries_.end() ? first->due : Time::max();
}

void TopicFilters::asked(std::size_t filter, Time now) {
  awaited_ = filter;
  entries_[filter].asked_at = now;
}

void TopicFilters::answered(int code, Time now, const BrokerStatement& statement) {
  if (!awaited_) {
    return;
  }
  Entry& entry = entries_[*awaited_];
  awaited_.reset();
  if (code >= 0 && code <= kHighestQos) {
    entry.status.failures = 0;
    entry.status.statement = {};
    entry.status.state = State::granted;
    entry.status.code = code;
    entry.status.since = now;
    entry.due = Time::max();
    entry.ids_in_use = 0;
    entry.pauses.reset();
    entry.long_pauses.reset();
    return;
  }
  if (code == kPacketIdInUse && ++entry.ids_in_use <= kIdsTriedAtOnce) {
    entry.due = now;
    return;
  }
  const bool is_known = code >= kFirstFailure && code <= kLastCode;
  fail(entry, State::refused, is_known ? code : kMalformedPacket, now, statement);
  entry.due = now + entry.pauses.next();
}

void TopicFilters::unanswered(State failure, int code, Time now, const BrokerStatement& statement) {
  if (!awaited_) {
    return;
  }
  Entry& entry = entries_[*awaited_];
  awaited_.reset();
  const bool again = entry.ends_connections();
  fail(entry, failure, code, now, statement);
  entry.due = again ? now + entry.long_pauses.next() : now;
}

void TopicFilters::fail(Entry& entry, State failure, int code, Time now,
                        const BrokerStatement& statement) {
  if (entry.status.failures++ == 0) {
    entry.status.since = now;
  }
  entry.status.state = failure;
  entry.status.code = code;
  entry.status.statement = statement;
}

std::vector<FilterStatus> TopicFilters::statuses() const {
  std::vector<FilterStatus> all;
  all.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    all.push_back(entry.status);
  }
  return all;
}

bool TopicFilters::all_granted() const noexcept {
  return std::ranges::all_of(
      entries_, [](const Entry& entry) { return entry.status.state == State::granted; });
}

bool TopicFilters::any_failed() const noexcept {
  return std::ranges::any_of(entries_,
                             [](const Entry& entry) { return entry.status.has_failed(); });
}

bool TopicFilters::none_pending() const noexcept {
  return std::ranges::none_of(
      entries_, [](const Entry& entry) { return entry.status.state == State::pending; });
}

std::vector<std::string> TopicFilters::granted() const {
  std::vector<std::string> filters;
  for (const Entry& entry : entries_) {
    if (entry.status.state == State::granted) {
      filters.push_back(entry.status.filter);
    }
  }
  return filters;
}

}  // namespace m2b
