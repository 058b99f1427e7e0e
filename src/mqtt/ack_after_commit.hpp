#pragma once

#include "m2b/mqtt/receiver.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b {

/// The acknowledgement's seam: decides when Paho may answer a message. This form waits in the
/// callback for the ticket of the spool, since Paho sends PUBACK when the callback returns
/// (decision 0002).
class AckAfterCommit {
 public:
  /// The references outlive it.
  AckAfterCommit(Spool& spool, ReceiverStats& stats) : spool_(spool), stats_(stats) {}

  /// Returns once the message may be acknowledged. When the spool is closed before that, it never
  /// returns (QoS 0 excepted, which has no acknowledgement): the process is about to end, and
  /// returning would acknowledge a message that is not on disk.
  void hand_over(const MessageView& message) noexcept;

 private:
  Spool& spool_;
  ReceiverStats& stats_;
};

}  // namespace m2b
