#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/mqtt/options.hpp"

namespace m2b {

/// What the broker was last asked for and granted. Kept in the spool, so that after a restart we
/// know whether the broker should still have our session, and which filters are no longer wanted.
struct Subscription {
  std::string client_id;
  std::string broker;  // host:port
  int qos = 0;
  std::vector<std::string> filters;

  friend bool operator==(const Subscription&, const Subscription&) = default;

  /// Whether both are of the same session at the same broker.
  [[nodiscard]] bool same_session(const Subscription& other) const {
    return client_id == other.client_id && broker == other.broker;
  }
};

/// One field a line; neither ids nor filters can hold a line feed (the configuration refuses it).
[[nodiscard]] std::string encode(const Subscription& subscription);
[[nodiscard]] std::optional<Subscription> decode_subscription(std::string_view text);

/// The filters of `before` that `now` does not have.
[[nodiscard]] std::vector<std::string> no_longer_wanted(const Subscription& before,
                                                        const Subscription& now);

/// The QoS to subscribe with. On MQTT 3.1.1 Paho answers a QoS 2 message with PUBREC before we have
/// seen it, so there it is 1: the publisher's QoS 2 then reaches us as QoS 1.
[[nodiscard]] int subscribe_qos(int configured, MqttVersion version) noexcept;

/// What is asked in which SUBSCRIBE packet, and what the broker said to it. On MQTT 3.1.1 one
/// filter a packet: with several Paho hands over a number or a pointer, depending on how many codes
/// the broker sent, and does not say which.
class SubscribeRound {
 public:
  SubscribeRound(const std::vector<std::string>& filters, MqttVersion version)
      : filters_(filters), one_by_one_(version != MqttVersion::v5) {}

  /// The filters of the packet that is to be sent or answered next; empty when all are answered.
  [[nodiscard]] std::vector<std::string> next() const;

  /// The codes of its SUBACK. A wrong number of them or one that MQTT does not know refuses.
  void answer(const std::vector<int>& codes);

  [[nodiscard]] bool complete() const noexcept { return codes_.size() == filters_.size(); }
  /// Whether the broker granted every filter.
  [[nodiscard]] bool granted() const;
  /// One code a filter, as far as answered: 0 to 2 the granted QoS, from 0x80 on refused.
  [[nodiscard]] const std::vector<int>& codes() const noexcept { return codes_; }

 private:
  std::vector<std::string> filters_;
  bool one_by_one_;
  std::vector<int> codes_;
};

}  // namespace m2b
