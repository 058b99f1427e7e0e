#include "mqtt/late_ack.hpp"

#ifdef M2B_LATE_ACK

#include <sys/socket.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "m2b/util/fail_point.hpp"
#include "mqtt/hearing.hpp"

// Of Paho 1.3.12, as Debian's static library has them; its shared one hides them. `net` points to
// the networkHandles of a handle, whose first field is the socket.
extern "C" {
extern void* mqttasync_mutex;             // NOLINT(readability-identifier-naming)
int MQTTAsync_lock_mutex(void* mutex);    // NOLINT(readability-identifier-naming)
int MQTTAsync_unlock_mutex(void* mutex);  // NOLINT(readability-identifier-naming)
int Socket_noPendingWrites(int socket);   // NOLINT(readability-identifier-naming)

// The linker's --wrap: Paho calls the first of each pair, and the second is Paho's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
int __wrap_MQTTPacket_send_puback(int version, int id, void* net, const char* client_id);
int __real_MQTTPacket_send_puback(int version, int id, void* net, const char* client_id);
int __wrap_MQTTPacket_send_pubrec(int version, int id, void* net, const char* client_id);
int __real_MQTTPacket_send_pubrec(int version, int id, void* net, const char* client_id);
void* __wrap_MQTTPacket_Factory(int version, void* net, int* error);
void* __real_MQTTPacket_Factory(int version, void* net, int* error);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace m2b::paho {
namespace {

constexpr int kComplete = 0;      // Paho's TCPSOCKET_COMPLETE
constexpr int kSocketError = -1;  // Paho's SOCKET_ERROR

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

/// The packet that this thread, Paho's receiving one, is working on.
struct Arrival {
  void* net = nullptr;
  int version = 0;
};
thread_local Arrival arrival;

class PahoLock {
 public:
  PahoLock() { MQTTAsync_lock_mutex(mqttasync_mutex); }
  ~PahoLock() { MQTTAsync_unlock_mutex(mqttasync_mutex); }
  PahoLock(const PahoLock&) = delete;
  PahoLock& operator=(const PahoLock&) = delete;
};

[[nodiscard]] int socket_of(const void* net) noexcept { return *static_cast<const int*>(net); }

}  // namespace

bool LateAck::is_linked() noexcept { return true; }

void* LateAck::arriving_on() noexcept { return arrival.net; }

LateAck::~LateAck() { connections().remove(connection_); }

void LateAck::take_over() noexcept {
  if (connection_ != arrival.net) {
    connections().remove(connection_);
    connection_ = arrival.net;
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

void* __wrap_MQTTPacket_Factory(int version, void* net, int* error) {
  m2b::paho::arrival = {net, version};
  void* const packet = __real_MQTTPacket_Factory(version, net, error);
  // Paho comes here when the socket has something; an end of the connection is no sign of life.
  if (*error != m2b::paho::kSocketError) {
    m2b::paho::Hearing::on_arrival(net);
  }
  return packet;
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#else  // without Paho's static library

namespace m2b::paho {

bool LateAck::is_linked() noexcept { return false; }
void* LateAck::arriving_on() noexcept { return nullptr; }
LateAck::~LateAck() = default;
void LateAck::take_over() noexcept {}
std::size_t LateAck::send(std::span<const Ack> acks) { return acks.size(); }

}  // namespace m2b::paho

#endif
