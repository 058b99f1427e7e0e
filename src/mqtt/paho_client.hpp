#pragma once

#include <MQTTAsync.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/mqtt/options.hpp"
#include "m2b/spool/message.hpp"
#include "mqtt/hearing.hpp"
#include "mqtt/large_messages.hpp"
#include "mqtt/late_ack.hpp"
#include "mqtt/server_name.hpp"
#include "mqtt/websocket_relay.hpp"

/// The only place that knows Eclipse Paho.
namespace m2b::paho {

/// A call that Paho refused at once: a bug or no memory.
class Error : public std::runtime_error {
 public:
  Error(const char* function, int code)
      : std::runtime_error(std::string(function) + ": " + MQTTAsync_strerror(code)) {}
};

struct DestroyHandle {
  void operator()(void* handle) const noexcept { MQTTAsync_destroy(&handle); }
};
using Handle = std::unique_ptr<void, DestroyHandle>;

/// A message in Paho's memory, which it gives back at its end, on any thread. A handle must be
/// there as long (see Library).
class Message {
 public:
  /// As Paho's callback has them: `topic_bytes` is 0 unless the topic holds a NUL.
  Message(char* topic, int topic_bytes, MQTTAsync_message* message);

  /// Borrowed from this object.
  [[nodiscard]] MessageView view() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;
  [[nodiscard]] Ack ack() const noexcept { return {message_->msgid, message_->qos}; }

 private:
  struct FreeTopic {
    void operator()(char* topic) const noexcept { MQTTAsync_free(topic); }
  };
  struct FreeMessage {
    void operator()(MQTTAsync_message* message) const noexcept { MQTTAsync_freeMessage(&message); }
  };
  std::unique_ptr<char, FreeTopic> topic_;
  std::size_t topic_bytes_;
  std::unique_ptr<MQTTAsync_message, FreeMessage> message_;
  WallTime received_at_;
};

/// Keeps Paho's memory for messages alive: with the last handle of the process Paho forgets what it
/// has given out, and whoever gives it back later is told off.
class Library {
 public:
  /// Throws Error.
  Library();

 private:
  Handle never_connected_;
};

/// When Paho sends PUBACK or PUBREC.
enum class AckTime {
  on_return,  ///< when on_message() returns, whatever it did
  when_told   ///< only by Client::acknowledge(); not available everywhere (LateAck::is_linked())
};

/// How long the broker keeps the session of a connection.
enum class SessionKind {
  lasting,   ///< for MqttOptions::session_expiry after the connection, and the one from before is
             ///< used
  temporary  ///< to the end of the connection; retained messages are not asked for (MQTT 5)
};

/// What Paho reports, on its own threads and under its global lock: the members must return quickly
/// and must not call Paho. on_message() and on_large_message() alone may wait.
class Events {
 public:
  virtual ~Events() = default;
  virtual void on_connected(bool session_present) noexcept = 0;
  /// `code` as in describe_reason_code(). `dropped`: the connection ended before an answer came.
  virtual void on_connect_failed(int code, bool dropped) noexcept = 0;
  virtual void on_connection_lost() noexcept = 0;
  /// The broker said good-bye (MQTT 5). Paho keeps its end open, and on_connection_lost() follows
  /// only once the broker closes its own.
  virtual void on_server_disconnect(int reason_code) noexcept = 0;
  /// The codes of a SUBACK as the broker sent them; there may be fewer or more than filters.
  virtual void on_suback(std::vector<int> codes) noexcept = 0;
  virtual void on_disconnected() noexcept = 0;
  /// Something came on the connection, after on_connected(); where Hearing::is_linked(). Takes no
  /// lock: it is called under the mutex of the list of listeners.
  virtual void on_heard() noexcept {}
  virtual void on_message(Message message) noexcept = 0;
  /// Instead of on_message(), where the client borrows large ones.
  virtual void on_large_message(const LargeMessage& message) noexcept = 0;
};

/// One MQTTAsync handle for one protocol version. Not thread-safe but for acknowledge(); `events`
/// outlives it. The calls return at once, their outcome comes as an event; each may block while a
/// callback does.
class Client final {
 public:
  /// Messages are never borrowed.
  static constexpr std::size_t kNone = ~std::size_t{0};

  /// `version` is v3_1_1 or v5. Payloads of `large_bytes` and more are borrowed, where
  /// LargeMessages::is_linked(). Throws Error, and std::system_error where the relay of a WebSocket
  /// cannot be started.
  Client(const MqttOptions& options, std::string client_id, MqttVersion version, AckTime ack_time,
         Events& events, std::size_t large_bytes = kNone,
         SessionKind session = SessionKind::lasting);
  /// No event comes afterwards.
  ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// With this password, if any.
  void connect(const Secret& password);
  /// One SUBSCRIBE; on 3.1.1 of one filter. Its answer, if one comes, is on_suback(). On 5 retained
  /// messages come only if the subscription is new at the broker (MQTT 5, section 3.8.3.1).
  void subscribe(const std::vector<std::string>& filters, int qos);
  /// Without an event: an old filter that stays costs traffic, nothing else.
  void unsubscribe(const std::vector<std::string>& filters);
  void disconnect();

  /// With AckTime::when_told, on any thread; see LateAck::send().
  [[nodiscard]] std::size_t acknowledge(std::span<const Ack> acks) { return late_ack_->send(acks); }

  [[nodiscard]] MqttVersion version() const noexcept { return version_; }

  /// With a WebSocket, why the broker's side of it ended; known before the event of that.
  [[nodiscard]] std::optional<RelayEnd> relay_end() const {
    return relay_ ? relay_->end() : std::nullopt;
  }

 private:
  struct Callbacks;  // the C functions, with access to events_
  const MqttOptions& options_;
  std::string client_id_;
  MqttVersion version_;
  SessionKind session_;
  Events& events_;
  std::optional<LateAck> late_ack_;
  std::optional<ServerName> server_name_;
  std::optional<WebSocketRelay> relay_;
  Hearing hearing_{events_};
  LargeMessages large_messages_;
  Handle handle_;  // last: its callbacks use the fields above
};

}  // namespace m2b::paho
