#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "m2b/mqtt/options.hpp"
#include "m2b/mqtt/receiver.hpp"

namespace m2b {

/// One short connection to the broker that tries what the bridge needs, and leaves nothing behind:
/// the session ends with the connection, no message is acknowledged where the build can (LateAck),
/// and with MQTT 5 no retained message is asked for. Belongs to one thread.
class SessionCheck {
 public:
  /// The answer to CONNECT.
  struct Login {
    bool is_accepted = false;
    MqttVersion version = MqttVersion::v5;  // that was spoken last
    BrokerTrouble trouble = {};             // where it is not accepted
    /// The broker said no because of the client identifier, or may have.
    bool may_be_about_client_id = false;
  };
  /// The answer to SUBSCRIBE.
  struct Grant {
    enum class Kind { granted, refused, closed, no_answer };
    Kind kind = Kind::no_answer;
    int wanted_qos = 0;
    int qos = 0;               // granted
    std::string meaning = {};  // of the code that refused, or ended the connection
  };

  /// `options` outlive this. The client identifier must be one that no bridge uses: the broker
  /// would end the connection of the other one.
  SessionCheck(const MqttOptions& options, std::string client_id);
  /// Disconnects.
  ~SessionCheck();
  SessionCheck(const SessionCheck&) = delete;
  SessionCheck& operator=(const SessionCheck&) = delete;

  /// Blocks for connect_timeout and the name look-up, twice where two versions are tried.
  [[nodiscard]] Login connect(const Secret& password, const std::stop_token& stop);
  /// After a login that was accepted. One filter, as it is; a member of a `$share` group takes its
  /// part of the group's messages.
  [[nodiscard]] Grant subscribe(const std::string& filter, std::chrono::milliseconds patience,
                                const std::stop_token& stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
