#pragma once

#include <functional>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/spool/spool.hpp"
#include "mqtt/acknowledger.hpp"

namespace m2b {

/// Waits in the callback for the ticket of the spool, since Paho sends PUBACK when the callback
/// returns (decision 0002). Needs nothing but Paho's public interface; one message a commit.
class AckAfterCommit final : public Acknowledger {
 public:
  /// The references outlive it.
  AckAfterCommit(Spool& spool, ReceiverStats& stats) : spool_(spool), stats_(stats) {}

  [[nodiscard]] paho::AckTime ack_time() const noexcept override {
    return paho::AckTime::on_return;
  }
  void begin_connection(paho::Client& /*client*/) override {}
  /// Returns once the message may be acknowledged. When the spool is closed before that, it never
  /// returns (QoS 0 excepted, which has no acknowledgement): the process is about to end, and
  /// returning would acknowledge a message that is not on disk.
  void hand_over(paho::Message message) noexcept override;
  void hand_over_large(const paho::LargeMessage& message) noexcept override;
  void end_connection() noexcept override {}

 private:
  void store(const MessageView& view, paho::Ack ack,
             const std::function<void()>& while_waiting) noexcept;

  Spool& spool_;
  ReceiverStats& stats_;
};

}  // namespace m2b
