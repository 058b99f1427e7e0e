#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "m2b/mqtt/options.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b {

/// What the receiver counts; monotonic since the start of the process.
struct ReceiverStats {
  std::array<std::atomic<std::uint64_t>, 3> received{};  // by QoS, redeliveries included
  std::atomic<std::uint64_t> acknowledged{0};            // QoS 1 and 2, after their commit
  std::atomic<std::uint64_t> connects{0};
  std::atomic<std::uint64_t> connect_failures{0};
  std::atomic<std::uint64_t> connections_lost{0};
  std::atomic<std::uint64_t> sessions_lost{0};  // the broker had forgotten what it should have kept
  // As far as Paho has told us. While a message waits for the disk Paho stands still: both stay set
  // although the broker may have dropped us meanwhile.
  std::atomic<bool> connected{false};
  std::atomic<bool> subscribed{false};  // every filter was granted
};

/// The MQTT session: connects, subscribes, and puts each message into the spool before it is
/// acknowledged. Reconnects for ever; a broker that is away is normal, also at the start.
///
/// Threads: Paho's own call in with messages, `mqtt-session` connects and subscribes.
class Receiver {
 public:
  /// Options and spool outlive the receiver.
  Receiver(const MqttOptions& options, Spool& spool);
  /// Only after stop() returned true; it would wait for Paho otherwise.
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  void start();

  /// Says good-bye to the broker and ends the threads; no message arrives afterwards. False when
  /// Paho could not be ended within `patience`: it waits for a full disk (the message in hand stays
  /// unacknowledged) or for a name server under its lock. The process then has to end by _exit once
  /// the spool is closed.
  [[nodiscard]] bool stop(std::chrono::milliseconds patience);

  [[nodiscard]] const ReceiverStats& stats() const noexcept;

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace m2b
