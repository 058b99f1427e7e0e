#pragma once

#ifdef M2B_LATE_ACK

#include <sys/time.h>

// Of Paho 1.3.12, as Debian's static library has them; its shared one hides them. `net` points to
// the networkHandles of a handle.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming)
extern void* mqttasync_mutex;
int MQTTAsync_lock_mutex(void* mutex);
int MQTTAsync_unlock_mutex(void* mutex);
int Socket_noPendingWrites(int socket);
int MQTTPacket_send_pingreq(void* net, const char* client_id);
timeval MQTTTime_now();
// NOLINTEND(readability-identifier-naming)
}

namespace m2b::paho {

constexpr int kComplete = 0;      // Paho's TCPSOCKET_COMPLETE
constexpr int kSocketError = -1;  // Paho's SOCKET_ERROR

/// The beginning of Paho's networkHandles.
struct Net {
  int socket;
  timeval last_sent;  // by Paho's own clock, which is monotonic
  timeval last_received;
  timeval last_ping;
};

/// Paho's global lock, which its threads hold while they work on packets and call back.
class PahoLock {
 public:
  PahoLock() { MQTTAsync_lock_mutex(mqttasync_mutex); }
  ~PahoLock() { MQTTAsync_unlock_mutex(mqttasync_mutex); }
  PahoLock(const PahoLock&) = delete;
  PahoLock& operator=(const PahoLock&) = delete;
};

}  // namespace m2b::paho

#endif
