#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace m2b::paho {

/// A message that has an acknowledgement: PUBACK at QoS 1, PUBREC at QoS 2.
struct Ack {
  int packet_id = 0;
  int qos = 1;
};

/// Acknowledgements that leave when we say so, which Paho C has in no version (decision 0014): the
/// linker puts a function of ours before Paho's own, and on a connection that is registered here it
/// sends nothing. One object for one handle.
class LateAck {
 public:
  /// Whether this program was linked so that it can work.
  [[nodiscard]] static bool is_linked() noexcept;

  explicit LateAck(std::string client_id) : client_id_(std::move(client_id)) {}
  /// Only once the handle is gone: Paho would answer by itself what it has queued.
  ~LateAck();
  LateAck(const LateAck&) = delete;
  LateAck& operator=(const LateAck&) = delete;

  /// Called in Paho's callback for a message, on its thread: from now on Paho acknowledges nothing
  /// by itself on the connection that the message came on.
  void take_over() noexcept;

  /// Sends acknowledgements in order, and says how many of them are done with: fewer than all while
  /// earlier bytes still wait for the socket, all when the connection has ended, as it does by one
  /// that cannot be sent. Waits for Paho's lock, so not from its callbacks.
  [[nodiscard]] std::size_t send(std::span<const Ack> acks);

 private:
  std::string client_id_;
  void* connection_ = nullptr;  // guarded by Paho's lock
  int version_ = 0;             // likewise
};

}  // namespace m2b::paho
