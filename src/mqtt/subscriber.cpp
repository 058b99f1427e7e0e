#include "mqtt/subscriber.hpp"

#include <fmt/format.h>

#include <variant>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "mqtt/reason_codes.hpp"

namespace m2b {
namespace {

constexpr const char* kSubscriptionNote = "mqtt.subscription";

}  // namespace

void Subscriber::begin(paho::Client& client, const std::string& client_id, bool session_present) {
  wanted_ = {client_id, fmt::format("{}:{}", options_.host, options_.port),
             subscribe_qos(options_.qos, client.version()), options_.filters};
  look_at_the_past(client, session_present);
  if (!session_present) {
    granted_.reset();
  }
  if (granted_ == wanted_) {
    state_ = State::granted;
    stats_.on_well();
    stats_.subscribed = true;
    return;
  }
  granted_.reset();
  state_ = State::waiting;
  round_.emplace(wanted_.filters, client.version());
  fail_point("mqtt.before_subscribe");
  client.subscribe(round_->next(), wanted_.qos);
}

void Subscriber::look_at_the_past(paho::Client& client, bool session_present) {
  const NoteRead note = spool_.read_note(kSubscriptionNote);
  const auto* const text = std::get_if<std::string>(&note);
  const auto before = text != nullptr ? decode_subscription(*text) : std::nullopt;
  message_is_proof_ = session_present && before == wanted_;
  if (!before || !before->same_session(wanted_)) {
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
  const std::vector<std::string> old = no_longer_wanted(*before, wanted_);
  if (!old.empty()) {
    if (lines_.admit("unsubscribes")) {
      log::info("mqtt", "unsubscribes filters of an earlier configuration",
                {{"first", old.front()}, {"count", old.size()}});
    }
    client.unsubscribe(old);
  }
}

void Subscriber::answered(paho::Client& client, const std::vector<int>& codes) {
  if (state_ != State::waiting) {
    return;
  }
  round_->answer(codes);
  if (round_->complete()) {
    conclude(client.version());
  } else {
    client.subscribe(round_->next(), wanted_.qos);
  }
}

void Subscriber::conclude(MqttVersion version) {
  constexpr int kFirstRefusal = 0x80;
  for (std::size_t i = 0; i < wanted_.filters.size(); ++i) {
    const int code = round_->codes()[i];
    const auto held_back = lines_.admit(fmt::format("{} {}", code, wanted_.filters[i]));
    const bool refused = code >= kFirstRefusal;
    if (refused) {
      stats_.on_trouble(
          {.kind = BrokerTrouble::Kind::not_subscribed,
           .meaning = fmt::format("{}: {}", wanted_.filters[i], describe_reason_code(code)),
           .needs_a_person = true});
    }
    if (held_back && refused) {
      log::error("mqtt", "subscription refused, trying again",
                 {{"filter", wanted_.filters[i]},
                  {"code", code},
                  {"meaning", describe_reason_code(code)},
                  {"repeated", *held_back}});
    } else if (held_back) {
      log_granted(wanted_.filters[i], code, version);
    }
  }
  if (!round_->granted()) {
    state_ = State::refused;
    return;
  }
  state_ = State::granted;
  stats_.on_well();
  stats_.subscribed = true;
  granted_ = wanted_;
  loss_is_counted_ = false;
  // Not waited for: without the note only a lost session and old filters go unnoticed.
  static_cast<void>(spool_.write_note(kSubscriptionNote, encode(wanted_)));
}

void Subscriber::log_granted(const std::string& filter, int qos, MqttVersion version) const {
  if (qos == options_.qos) {
    log::info("mqtt", "subscribed", {{"filter", filter}, {"qos", qos}});
    return;
  }
  log::warn(
      "mqtt",
      version == MqttVersion::v5
          ? "subscribed with another QoS than configured: the broker granted no more"
          : "subscribed with another QoS than configured: on MQTT 3.1.1 no more than 1 is safe",
      {{"filter", filter}, {"qos", qos}, {"configured", options_.qos}});
}

}  // namespace m2b
