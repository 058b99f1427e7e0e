#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/util/fd.hpp"
#include "support/loopback.hpp"

namespace m2b::test {

/// One end of an MQTT connection, driven step by step by a test: reads what the client sends,
/// packet by packet, and answers exactly what the test says. Waits end after ten seconds with an
/// exception. Knows just enough of MQTT 3.1.1 and 5 for this. One thread.
class ScriptedBroker {
 public:
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_.port; }

  enum class Type : std::uint8_t {
    connect = 1,
    connack = 2,
    publish = 3,
    puback = 4,
    pubrec = 5,
    subscribe = 8,
    suback = 9,
    unsubscribe = 10,
    unsuback = 11,
    pingreq = 12,
    disconnect = 14
  };
  struct Packet {
    Type type{};
    std::string body;  // behind the fixed header

    /// CONNECT: protocol level, 4 is MQTT 3.1.1, 5 is MQTT 5.
    [[nodiscard]] int protocol_level() const;
    /// PUBACK, PUBREC, SUBSCRIBE: the packet identifier.
    [[nodiscard]] std::uint16_t packet_id() const;
  };

  /// The next client; an open connection is closed before.
  void accept();
  /// Whether a client connects within the time; it waits for accept().
  [[nodiscard]] bool is_called_within(int milliseconds) const;
  [[nodiscard]] Packet read();
  /// The next packet, or nothing when none comes within the time.
  [[nodiscard]] std::optional<Packet> read_within(int milliseconds);
  /// Whether the client says nothing for a moment, where it might say something that it should not.
  [[nodiscard]] bool is_quiet() { return !read_within(300); }
  [[nodiscard]] Packet expect(Type type);

  /// accept(), CONNECT, CONNACK with success, for the protocol that the client speaks. Returns
  /// CONNECT.
  Packet accept_session(bool session_present) { return answer_connect(session_present, 0, ""); }
  /// accept(), CONNECT, CONNACK with that code; `properties` as they stand in the packet, behind
  /// their length of one byte, of MQTT 5 alone. Returns CONNECT.
  Packet answer_connect(bool session_present, int code, std::string_view properties);
  /// SUBSCRIBE, SUBACK with these codes, however many the client asked for. Returns SUBSCRIBE.
  Packet answer_subscription(std::string_view codes, std::string_view properties = {});
  /// So many times SUBSCRIBE, of one filter each, and SUBACK that grants it. Returns the last
  /// SUBSCRIBE.
  Packet grant_subscription(std::size_t filters = 1, int qos = 1);
  void publish(std::uint16_t packet_id, std::string_view topic, std::string_view payload, int qos) {
    send(publication(packet_id, topic, payload, qos));
  }
  /// The bytes of that packet.
  [[nodiscard]] std::string publication(std::uint16_t packet_id, std::string_view topic,
                                        std::string_view payload, int qos) const;
  /// DISCONNECT of MQTT 5, with properties as in answer_connect(), and the end of the connection.
  void disconnect(int code, std::string_view properties = {});

  void send(std::string_view bytes);
  void close() { client_ = Fd(); }

 private:
  [[nodiscard]] std::string read_bytes(std::size_t count);

  LoopbackListener listener_;
  Fd client_;
  bool v5_ = false;
};

}  // namespace m2b::test
