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
  /// The broker said good-bye (MQTT 5). Paho keeps its end open, and on_connection_lost() follows
  /// only once the broker closes its own.
  virtual void on_server_disconnect(int reason_code) noexcept = 0;
  /// The codes of a SUBACK as the broker sent them; there may be fewer or more than filters.
  virtual void on_suback(std::vector<int> codes) noexcept = 0;
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
  /// One SUBSCRIBE; on 3.1.1 of one filter. Its answer, if one comes, is on_suback(). On 5 retained
  /// messages come only if the subscription is new at the broker (MQTT 5, section 3.8.3.1).
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
