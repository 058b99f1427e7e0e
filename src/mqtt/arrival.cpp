#include "mqtt/arrival.hpp"

namespace m2b::paho {
namespace {

Arrival& arrival() noexcept {
  thread_local Arrival instance;
  return instance;
}

}  // namespace

const Arrival& Arrival::current() noexcept { return arrival(); }

}  // namespace m2b::paho

#ifdef M2B_LATE_ACK

#include <MQTTAsync.h>

#include <cstddef>

#include "mqtt/paho_internals.hpp"
#include "mqtt/read_properties.hpp"

extern "C" {
// The linker's --wrap: Paho calls the first of each pair, and the second is Paho's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
void* __wrap_MQTTPacket_Factory(int version, void* net, int* error);
void* __real_MQTTPacket_Factory(int version, void* net, int* error);
char* __wrap_WebSocket_getdata(void* net, std::size_t bytes, std::size_t* received);
char* __real_WebSocket_getdata(void* net, std::size_t bytes, std::size_t* received);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace m2b::paho {
namespace {

/// Paho's Connack of 1.3.12.
struct Connack {
  unsigned char header;  // the packet's first byte
  int flags;
  char code;
  int version;
  MQTTProperties properties;  // of MQTT 5 alone
};

BrokerStatement statement_of(const void* packet) noexcept {
  constexpr unsigned kConnackType = 2;
  const auto& connack = *static_cast<const Connack*>(packet);
  return connack.header >> 4U == kConnackType && connack.version >= MQTTVERSION_5
             ? read_statement(connack.properties)
             : BrokerStatement();
}

}  // namespace
}  // namespace m2b::paho

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)

/// Paho reads one packet by it, or a part of one, whenever the socket has something.
void* __wrap_MQTTPacket_Factory(int version, void* net, int* error) {
  using namespace m2b::paho;
  arrival() = {.connection = net, .version = version};
  void* const packet = __real_MQTTPacket_Factory(version, net, error);
  if (packet != nullptr) {
    arrival().connack_statement = statement_of(packet);
  }
  if (*error != kSocketError) {  // the end of a connection is no sign of life
    KeepAlive::on_arrival(net, arrival().progress);
  }
  return packet;
}

/// Paho reads a packet's body by it, whatever the connection travels in: again and again for the
/// same packet, until all has come.
char* __wrap_WebSocket_getdata(void* net, std::size_t bytes, std::size_t* received) {
  char* const data = __real_WebSocket_getdata(net, bytes, received);
  if (data != nullptr) {
    m2b::paho::arrival().progress = {.received = *received, .total = bytes};
  }
  return data;
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#endif
