#include "mqtt/subscriber.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "mqtt/reason_codes.hpp"

namespace m2b {
namespace {

using Clock = std::chrono::steady_clock;
using State = FilterStatus::State;

constexpr const char* kSubscriptionNote = "mqtt.subscription";
constexpr std::chrono::minutes kRetainedAgain{10};

}  // namespace

void Subscriber::begin(paho::Client& client, const std::string& client_id, bool session_present,
                       bool retained_come_again) {
  version_ = client.version();
  connack_ = stats_.connack().value_or(ConnackProperties());
  wanted_ = {client_id, fmt::format("{}:{}", options_.host, options_.port),
             subscribe_qos(options_.qos, version_), options_.filters};
  look_at_the_past(client, session_present);
  const bool may_wait =
      version_ == MqttVersion::v3_1_1 && retained_come_again && session_present && !in_doubt_;
  in_doubt_ = false;
  filters_.begin(Clock::now(), may_wait ? std::optional(kRetainedAgain) : std::nullopt);
  publish();
}

void Subscriber::look_at_the_past(paho::Client& client, bool session_present) {
  if (!noted_) {
    const NoteRead note = spool_.read_note(kSubscriptionNote);
    const auto* const text = std::get_if<std::string>(&note);
    noted_ = text != nullptr ? decode_subscription(*text) : std::nullopt;
  }
  message_is_proof_ = session_present && noted_ == wanted_ && !filters_.any_failed();
  if (!noted_ || !noted_->same_session(wanted_)) {
    return;
  }
  if (!session_present) {
    if (!loss_is_counted_) {
      loss_is_counted_ = true;
      stats_.sessions_lost.fetch_add(1, std::memory_order_relaxed);
      stats_.on_session_lost();
      log::warn("mqtt",
                "the broker has no session for us any more; what it held for us while we were away "
                "is lost there",
                {{"broker", wanted_.broker}, {"client_id", wanted_.client_id}});
    }
    return;
  }
  const std::vector<std::string> old = no_longer_wanted(*noted_, wanted_);
  if (old.empty()) {
    return;
  }
  if (lines_.admit("unsubscribes")) {
    log::info("mqtt", "unsubscribes filters of an earlier configuration",
              {{"first", old.front()}, {"count", old.size()}});
  }
  for (const std::string& filter : old) {
    client.unsubscribe(filter);
  }
}

std::chrono::seconds Subscriber::patience() const {
  // The answer comes behind messages that are already on their way to us, and one may take long on
  // a slow line, or wait for the disk. So it is no shorter than Paho's own patience while nothing
  // arrives as a whole: up to three intervals of keep-alive (13 to 16 s were measured at 5 s).
  return std::max(options_.connect_timeout, 3 * options_.keep_alive);
}

Subscriber::Time Subscriber::proceed(paho::Client& client) {
  if (const auto filter = filters_.next(Clock::now())) {
    if (const auto code = connack_.refusal_of(filters_.status(*filter).filter)) {
      was_sent_ = false;
      filters_.asked(*filter, Clock::now());
      answered({*code}, {});
      return Clock::now();
    }
    fail_point("mqtt.before_subscribe");
    was_sent_ = client.subscribe(filters_.status(*filter).filter, wanted_.qos);
    const Time now = Clock::now();
    filters_.asked(*filter, now);
    overdue_at_ = now + patience();
  }
  return filters_.awaited() ? overdue_at_ : filters_.next_due();
}

bool Subscriber::is_overdue() const { return filters_.awaited() && Clock::now() >= overdue_at_; }

void Subscriber::wait_longer() { overdue_at_ = Clock::now() + patience(); }

void Subscriber::answered(const std::vector<int>& codes, const BrokerStatement& statement) {
  const auto awaited = filters_.awaited();
  if (!awaited) {
    return;
  }
  const FilterStatus before = filters_.status(*awaited);
  filters_.answered(codes.size() == 1 ? codes.front() : kMalformedPacket, Clock::now(), statement);
  const FilterStatus& now = filters_.status(*awaited);
  if (now.failures > before.failures) {
    tell_failed(now);
  } else if (now.state == State::granted) {
    loss_is_counted_ = false;
    tell_granted(now, before);
  } else if (const auto held_back = lines_.admit("id in use")) {
    log::info("mqtt",
              "the packet identifier of our SUBSCRIBE is in use at the broker, takes another",
              {{"filter", now.filter}, {"repeated", *held_back}});
  }
  publish();
}

void Subscriber::give_up() {
  const auto awaited = filters_.awaited();
  if (awaited) {
    filters_.unanswered(State::no_answer, 0, Clock::now());
    tell_failed(filters_.status(*awaited));
    publish();
  }
}

bool Subscriber::connection_ended(std::optional<int> code, const BrokerStatement& statement,
                                  bool is_no_answer) {
  const auto awaited = filters_.awaited();
  const bool is_answer = awaited && was_sent_ && !is_no_answer &&
                         Clock::now() - filters_.asked_at() <= options_.connect_timeout &&
                         (!code || may_answer_subscribe(*code));
  if (!is_answer) {
    filters_.connection_ended();
    return false;
  }
  filters_.unanswered(State::disconnected, code.value_or(0), Clock::now(), statement);
  tell_failed(filters_.status(*awaited));
  publish();
  return true;
}

void Subscriber::tell_granted(const FilterStatus& filter, const FilterStatus& before) {
  const bool is_news = before.state != State::granted || before.code != filter.code;
  const auto held_back =
      is_news ? lines_.admit(fmt::format("{} {}", filter.code, filter.filter)) : std::nullopt;
  if (!held_back) {
    return;
  }
  if (filter.code == options_.qos) {
    log::info("mqtt", "subscribed", {{"filter", filter.filter}, {"qos", filter.code}});
    return;
  }
  const char* const text =
      filter.is_unguaranteed()
          ? "subscribed with QoS 0, as the broker granted no more: it may lose messages"
      : version_ == MqttVersion::v5
          ? "subscribed with another QoS than configured: the broker granted no more"
          : "subscribed with another QoS than configured: on MQTT 3.1.1 no more than 1 is safe";
  log::warn("mqtt", text,
            {{"filter", filter.filter}, {"qos", filter.code}, {"configured", options_.qos}});
}

void Subscriber::tell_failed(const FilterStatus& filter) {
  const std::string meaning = filter.statement.behind(filter.meaning());
  auto& count = filter.state == State::refused        ? stats_.subscribes_refused
                : filter.state == State::disconnected ? stats_.subscribes_disconnected
                                                      : stats_.subscribes_unanswered;
  count.fetch_add(1, std::memory_order_relaxed);
  stats_.on_trouble({.kind = BrokerTrouble::Kind::not_subscribed,
                     .meaning = fmt::format("{}: {}", filter.filter, filter.meaning()),
                     .statement = filter.statement,
                     .needs_a_person = true});
  const auto held_back =
      lines_.admit(fmt::format("{} {} {}", to_string(filter.state), filter.code, filter.filter));
  if (!held_back) {
    return;
  }
  switch (filter.state) {
    case State::refused:
      log::error("mqtt", "subscription refused, trying again",
                 {{"filter", filter.filter},
                  {"code", filter.code},
                  {"meaning", meaning},
                  {"repeated", *held_back}});
      return;
    case State::disconnected:
      log::error("mqtt",
                 "broker ended the connection right after SUBSCRIBE, trying again: see whether our "
                 "user may read the filter (the broker's access rules), and whether TOPIC is right",
                 {{"filter", filter.filter},
                  {"code", filter.code},
                  {"meaning", meaning},
                  {"in_a_row", filter.failures},
                  {"repeated", *held_back}});
      return;
    case State::no_answer:
      log::warn("mqtt", "no answer to the subscription, trying again",
                {{"broker", wanted_.broker},
                 {"filter", filter.filter},
                 {"seconds", patience().count()},
                 {"repeated", *held_back}});
      return;
    case State::pending:
    case State::granted:
      return;
  }
}

void Subscriber::publish() {
  stats_.set_filters(filters_.statuses());
  if (filters_.all_granted()) {
    stats_.on_well();
    stats_.subscribed = true;
  }
  if (!filters_.none_pending()) {
    return;
  }
  Subscription granted = wanted_;
  granted.filters = filters_.granted();
  if (!granted.filters.empty() && noted_ != granted) {
    // Not waited for: without the note only a lost session and old filters go unnoticed.
    static_cast<void>(spool_.write_note(kSubscriptionNote, encode(granted)));
    noted_ = std::move(granted);
  }
}

}  // namespace m2b
