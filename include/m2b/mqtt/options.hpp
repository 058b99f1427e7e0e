#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/tls/options.hpp"
#include "m2b/util/backoff.hpp"
#include "m2b/util/secret.hpp"

namespace m2b {

enum class MqttVersion : std::uint8_t {
  automatic,  ///< 5, and 3.1.1 where the broker knows no 5
  v3_1_1,
  v5
};

/// What MQTT travels in.
enum class MqttTransport : std::uint8_t { tcp, tls, websocket, secure_websocket };

[[nodiscard]] constexpr bool is_secure(MqttTransport transport) noexcept {
  return transport == MqttTransport::tls || transport == MqttTransport::secure_websocket;
}
[[nodiscard]] constexpr bool is_websocket(MqttTransport transport) noexcept {
  return transport == MqttTransport::websocket || transport == MqttTransport::secure_websocket;
}

/// How to reach and what to ask of the broker. Validated by the configuration.
struct MqttOptions {
  std::string host;        // DNS name or IP address, IPv6 in brackets
  std::uint16_t port = 0;  // always set
  MqttTransport transport = MqttTransport::tcp;
  std::string websocket_path = "/mqtt";  // of a WebSocket
  TlsOptions tls{.settings = "MQTT"};    // where is_secure(transport)
  MqttVersion version = MqttVersion::automatic;
  std::vector<std::string> filters;  // topic filters, `$share/<group>/<filter>` too
  std::uint8_t qos = 1;
  std::string client_id;                  // empty: made once for this spool and kept in it
  std::string username = "MQTT_TO_BLOB";  // empty: none
  Secret password;
  std::string password_file;  // where it came from, if from a file: it is read again to connect
  std::chrono::seconds keep_alive{60};
  /// How long the broker keeps our session, and what it queues for us, while we are away (MQTT 5,
  /// section 3.1.2.11.2; with 3.1.1 the broker decides).
  std::chrono::seconds session_expiry{std::chrono::hours(24 * 30)};
  std::chrono::seconds connect_timeout{10};
  /// Of a packet that the broker may send us, told by MQTT 5 alone (section 3.1.2.11.4); 0: nothing
  /// is told. The broker discards a longer one and acts as if it had been sent.
  std::size_t max_packet_size = 0;
  bool group_commit = true;  // one sync for several messages, where the build can (decision 0014)
  BackoffPolicy backoff;     // between attempts to connect or subscribe
};

/// Its length has two bytes (MQTT 5, section 1.5.6). MQTT takes any bytes; we take text, since a
/// control character in a password is a mistake of whoever stored it.
[[nodiscard]] bool is_mqtt_password(std::string_view text);

/// Whether this program was linked so that the broker's certificate can be verified for another
/// name than the host that is called (`tls.server_name`).
[[nodiscard]] bool can_verify_another_name() noexcept;

}  // namespace m2b
