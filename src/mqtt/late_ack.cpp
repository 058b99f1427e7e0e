#include "mqtt/late_ack.hpp"

#ifdef M2B_LATE_ACK

#include <sys/socket.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "m2b/util/fail_point.hpp"
#include "mqtt/arrival.hpp"
#include "mqtt/paho_internals.hpp"

extern "C" {
// The linker's --wrap: Paho calls the first of each pair, and the second is Paho's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
int __wrap_MQTTPacket_send_puback(int version, int id, void* net, const char* client_id);
int __real_MQTTPacket_send_puback(int version, int id, void* net, const char* client_id);
int __wrap_MQTTPacket_send_pubrec(int version, int id, void* net, const char* client_id);
int __real_MQTTPacket_send_pubrec(int version, int id, void* net, const char* client_id);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace m2b::paho {
namespace {

/// The connections that are acknowledged by us. Paho gives its functions no context of ours, so
/// this is the process's.
class Connections {
 public:
  void add(const void* net) {
    const std::lock_guard lock(mutex_);
    nets_.push_back(net);
  }
  /// One registration: the memory of a handle that is gone may already be that of another one.
  void remove(const void* net) noexcept {
    const std::lock_guard lock(mutex_);
    if (const auto found = std::ranges::find(nets_, net); found != nets_.end()) {
      nets_.erase(found);
    }
  }
  [[nodiscard]] bool contains(const void* net) const noexcept {
    const std::lock_guard lock(mutex_);
    return std::ranges::find(nets_, net) != nets_.end();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<const void*> nets_;
};

Connections& connections() {
  static Connections instance;
  return instance;
}

[[nodiscard]] int socket_of(const void* net) noexcept {
  return static_cast<const Net*>(net)->socket;
}

}  // namespace

bool LateAck::is_linked() noexcept { return true; }

LateAck::~LateAck() { connections().remove(connection_); }

void LateAck::take_over() noexcept {
  const Arrival& arrival = Arrival::current();
  if (connection_ != arrival.connection) {
    connections().remove(connection_);
    connection_ = arrival.connection;
    version_ = arrival.version;
    connections().add(connection_);
  }
}

std::size_t LateAck::send(std::span<const Ack> acks) {
  const PahoLock lock;
  if (connection_ == nullptr) {
    return acks.size();
  }
  for (std::size_t i = 0; i < acks.size(); ++i) {
    const int socket = socket_of(connection_);
    if (socket <= 0) {
      return acks.size();
    }
    if (Socket_noPendingWrites(socket) == 0) {
      return i;
    }
    fail_point("mqtt.before_ack");
    const auto send = acks[i].qos == 2 ? &__real_MQTTPacket_send_pubrec  //
                                       : &__real_MQTTPacket_send_puback;
    if (send(version_, acks[i].packet_id, connection_, client_id_.c_str()) == kSocketError) {
      // It may be the machine's memory (ENOBUFS) and not the connection, which Paho would read from
      // as before, while the broker waits for this one for ever. After its end all comes again.
      ::shutdown(socket, SHUT_RDWR);
      return acks.size();
    }
  }
  return acks.size();
}

}  // namespace m2b::paho

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)

int __wrap_MQTTPacket_send_puback(int version, int id, void* net, const char* client_id) {
  using namespace m2b::paho;
  return connections().contains(net) ? kComplete
                                     : __real_MQTTPacket_send_puback(version, id, net, client_id);
}

int __wrap_MQTTPacket_send_pubrec(int version, int id, void* net, const char* client_id) {
  using namespace m2b::paho;
  return connections().contains(net) ? kComplete
                                     : __real_MQTTPacket_send_pubrec(version, id, net, client_id);
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#else  // without Paho's static library

namespace m2b::paho {

bool LateAck::is_linked() noexcept { return false; }
LateAck::~LateAck() = default;
void LateAck::take_over() noexcept {}
std::size_t LateAck::send(std::span<const Ack> acks) { return acks.size(); }

}  // namespace m2b::paho

#endif
