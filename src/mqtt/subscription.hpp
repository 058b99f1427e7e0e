#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/mqtt/options.hpp"

namespace m2b {

/// What the broker has granted. Kept in the spool, so that after a restart we
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

}  // namespace m2b
