#pragma once

#include "m2b/mqtt/connack_properties.hpp"
#include "mqtt/keep_alive.hpp"

namespace m2b::paho {

/// The packet that Paho's receiving thread is working on, of which Paho tells its callbacks less
/// than we need. By the linker, as LateAck; without Paho's static library nothing is known.
struct Arrival {
  void* connection = nullptr;
  int version = 0;  // of MQTT, as Paho counts them
  PacketProgress progress = {};
  /// Of a CONNACK of MQTT 5, also of one that refuses us: until 1.3.15 Paho hands over none then.
  BrokerStatement connack_statement = {};

  /// On Paho's receiving thread, in a callback.
  [[nodiscard]] static const Arrival& current() noexcept;
};

}  // namespace m2b::paho
