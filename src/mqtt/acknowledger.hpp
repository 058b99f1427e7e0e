#pragma once

#include "mqtt/paho_client.hpp"

namespace m2b {

/// The acknowledgement's seam: takes each message that arrives to the spool, and sees to it that
/// the broker hears of it only once it is on disk.
class Acknowledger {
 public:
  Acknowledger() = default;
  virtual ~Acknowledger() = default;
  Acknowledger(const Acknowledger&) = delete;
  Acknowledger& operator=(const Acknowledger&) = delete;

  /// What the clients are to be made with whose messages come here.
  [[nodiscard]] virtual paho::AckTime ack_time() const noexcept = 0;

  /// Messages come from `client` from now on.
  virtual void begin_connection(paho::Client& client) = 0;

  /// Called in Paho's callback. A message without payload clears a retained one and is no picture:
  /// it is counted and acknowledged in its turn, and the spool does not get it.
  virtual void hand_over(paho::Message message) noexcept = 0;

  /// The same for one that is borrowed: returns once the spool needs it no more.
  virtual void hand_over_large(const paho::LargeMessage& message) noexcept = 0;

  /// Nothing that came before is acknowledged afterwards: the broker delivers it again. To be
  /// called before the client says good-bye or is destroyed.
  virtual void end_connection() noexcept = 0;
};

}  // namespace m2b
