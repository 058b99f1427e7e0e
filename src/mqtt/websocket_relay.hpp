#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "m2b/mqtt/options.hpp"
#include "m2b/tls/connect_probe.hpp"

namespace m2b {

class WebSocketLink;

/// How the broker's side of a relay ended, unless Paho ended it.
struct RelayEnd {
  enum class Stage : std::uint8_t {
    reach,    ///< name look-up and TCP
    tls,      ///< files and handshake; find_connect_fault() knows more
    upgrade,  ///< the answer to the upgrade
    open      ///< the WebSocket was open
  };
  Stage stage = Stage::reach;
  ConnectFault fault = {};
};

/// Carries the bytes of one MQTT connection between Paho, which speaks plain MQTT over TCP to a
/// port of the loopback, and the broker, which speaks WebSocket, over TLS where the options say so
/// (decision 0025). Paho's framing of WebSocket is not used.
///
/// Accepts one connection, from this process alone, then looks up the broker, connects, and asks
/// for the upgrade, all of it within connect_timeout. Bytes stream through: memory does not depend
/// on the size of messages or frames, and who is slow slows the other side down. When the broker's
/// side ends, Paho's is closed behind the last byte; when Paho's ends, the broker gets what Paho
/// wrote and a close frame.
///
/// Threads: one of its own, `mqtt-websocket`.
class WebSocketRelay {
 public:
  /// Listens at once. The options outlive it. Throws std::system_error.
  explicit WebSocketRelay(const MqttOptions& options);
  /// Once Paho's handle is gone. An open WebSocket is closed, for which the broker has a moment;
  /// everything else ends at once, but for a name look-up that hangs in the C library.
  ~WebSocketRelay();
  WebSocketRelay(const WebSocketRelay&) = delete;
  WebSocketRelay& operator=(const WebSocketRelay&) = delete;

  /// What Paho has to call, such as `tcp://127.0.0.1:40001`.
  [[nodiscard]] std::string address() const;

  /// Known before Paho's connection is closed; nothing while the broker's side stands. Any thread.
  [[nodiscard]] std::optional<RelayEnd> end() const;

 private:
  std::unique_ptr<WebSocketLink> link_;
};

}  // namespace m2b
