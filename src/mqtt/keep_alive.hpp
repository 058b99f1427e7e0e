#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace m2b::paho {

class Events;

/// How much of one packet's body has arrived. Both are 0 for a packet without a body.
struct PacketProgress {
  std::size_t received = 0;  // bytes, headers of MQTT, TLS and TCP not included
  std::size_t total = 0;

  [[nodiscard]] bool is_complete() const noexcept { return received == total; }
};

/// Keeps a connection alive and sees that it is: sends PINGREQ at the broker's interval, and
/// reports all that arrives.
///
/// Paho's own keep-alive is not enough. Paho sends no further PINGREQ until the first one is
/// answered, and the answer may wait behind a large message for longer than the broker waits for
/// us (MQTT 5, section 3.1.2.10); it ignores the broker's Server Keep Alive (section 3.2.2.3.14);
/// and it reports no PINGRESP. By the linker, as LateAck. One object for one handle.
///
/// A PINGREQ is written under Paho's lock, by Paho's own function, and only while no earlier bytes
/// wait for the socket, so it never stands within another packet, with TLS neither.
class KeepAlive {
 public:
  using Clock = std::chrono::steady_clock;

  /// Whether this program was linked so that it can work. If not, nothing is reported, and Paho's
  /// own keep-alive is all there is.
  [[nodiscard]] static bool is_linked() noexcept;

  /// `events` outlives it.
  KeepAlive(Events& events, std::string client_id) noexcept;
  /// Only once the handle is gone.
  ~KeepAlive();
  KeepAlive(const KeepAlive&) = delete;
  KeepAlive& operator=(const KeepAlive&) = delete;

  /// Called in Paho's callback for a connection that was accepted, on its thread. A PINGREQ leaves
  /// whenever nothing was sent for half of `interval`: the broker counts any packet.
  void begin(std::chrono::seconds interval) noexcept;

  /// Sends a PINGREQ if one is due, and says when to call again. Waits for Paho's lock, so not from
  /// its callbacks. Any thread.
  Clock::time_point ping_if_due();

  /// The same from a callback of Paho, on its thread, about every second while the callback lasts:
  /// all that time Paho sends no PINGREQ itself.
  void ping_in_callback() noexcept;

  /// Something came from the socket of a connection; on Paho's receiving thread.
  static void on_arrival(const void* connection, PacketProgress progress) noexcept;

 private:
  class Registry;
  [[nodiscard]] static Registry& registry();
  Clock::duration ping_if_due_locked() noexcept;

  Events& events_;
  const std::string client_id_;
  // Guarded by Paho's lock.
  void* connection_ = nullptr;
  std::chrono::milliseconds ping_after_{0};
};

}  // namespace m2b::paho
