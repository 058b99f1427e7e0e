#pragma once

#include <MQTTAsync.h>

#include "m2b/mqtt/connack_properties.hpp"

namespace m2b::paho {

/// Of a CONNACK that accepts the connection. Borrows nothing.
[[nodiscard]] ConnackProperties read_connack(const MQTTProperties& properties);

/// Of any packet of the broker.
[[nodiscard]] BrokerStatement read_statement(const MQTTProperties& properties);

}  // namespace m2b::paho
