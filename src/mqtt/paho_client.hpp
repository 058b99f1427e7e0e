#pragma once

#include <MQTTAsync.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/mqtt/options.hpp"
#include "m2b/spool/message.hpp"

/// The only place that knows Eclipse Paho.
namespace m2b::paho {

/// A call that Paho refused at once: a bug or no memory.
class Error : public std::runtime_error {
 public:
  Error(const char* function, int code)
      : std::runtime_error(std::string(function) + ": " + MQTTAsync_strerror(code)) {}
};

/// What Paho reports, on its own threads and under its global lock: the members must return quickly
/// and must not call Paho. on_message() alone may wait, and what it does decides over the
/// acknowledgement: Paho sends PUBACK or PUBREC when it returns, whatever it returns.
class Events {
 public:
  virtual ~Events() = default;
  virtual void on_connected(bool session_present) noexcept = 0;
  /// `code` as in describe_reason_code(). `dropped`: the connection ended before an answer came.
  virtual void on_connect_failed(int code, bool dropped) noexcept = 0;
  virtual void on_connection_lost() noexcept = 0;
  /// The broker said good-bye (MQTT 5); on_connection_lost() follows.
  virtual void on_server_disconnect(int reason_code) noexcept = 0;
  /// One code a filter, in the order of the request: 0 to 2 the granted QoS, from 0x80 on refused.
  virtual void on_subscribed(std::vector<int> codes) noexcept = 0;
  virtual void on_subscribe_failed(int code) noexcept = 0;
  virtual void on_disconnected() noexcept = 0;
  virtual void on_message(const MessageView& message) noexcept = 0;
};

/// One MQTTAsync handle for one protocol version. Not thread-safe; `events` outlives it. The calls
/// return at once, their outcome comes as an event; each may block while a callback does.
class Client final {
 public:
  /// `version` is v3_1_1 or v5. Throws Error.
  Client(const MqttOptions& options, std::string client_id, MqttVersion version, Events& events);
  /// No event comes afterwards.
  ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void connect();
  void subscribe(const std::vector<std::string>& filters, int qos);
  /// Without an event: an old filter that stays costs traffic, nothing else.
  void unsubscribe(const std::vector<std::string>& filters);
  void disconnect();

  [[nodiscard]] MqttVersion version() const noexcept { return version_; }

 private:
  struct Callbacks;  // the C functions, with access to events_
  struct Deleter {
    void operator()(void* handle) const noexcept { MQTTAsync_destroy(&handle); }
  };

  const MqttOptions& options_;
  std::string client_id_;
  MqttVersion version_;
  Events& events_;
  std::unique_ptr<void, Deleter> handle_;  // last: its callbacks use the fields above
};

}  // namespace m2b::paho
