#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "m2b/util/backoff.hpp"
#include "m2b/util/secret.hpp"

namespace m2b {

enum class MqttVersion : std::uint8_t {
  automatic,  ///< 5, and 3.1.1 where the broker knows no 5
  v3_1_1,
  v5
};

/// How to reach and what to ask of the broker. Validated by the configuration.
struct MqttOptions {
  std::string host;  // DNS name or IP address, IPv6 in brackets
  std::uint16_t port = 1883;
  MqttVersion version = MqttVersion::automatic;
  std::vector<std::string> filters;  // topic filters, `$share/<group>/<filter>` too
  std::uint8_t qos = 1;
  std::string client_id;                  // empty: made once for this spool and kept in it
  std::string username = "MQTT_TO_BLOB";  // empty: none
  Secret password;
  std::chrono::seconds keep_alive{60};
  /// How long the broker keeps our session, and what it queues for us, while we are away (MQTT 5,
  /// section 3.1.2.11.2; with 3.1.1 the broker decides).
  std::chrono::seconds session_expiry{std::chrono::hours(24 * 30)};
  std::chrono::seconds connect_timeout{10};
  bool group_commit = true;  // one sync for several messages, where the build can (decision 0014)
  BackoffPolicy backoff;     // between attempts to connect or subscribe
};

}  // namespace m2b
