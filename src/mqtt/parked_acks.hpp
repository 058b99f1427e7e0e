#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/spool/spool.hpp"
#include "mqtt/acknowledger.hpp"

namespace m2b {

struct ParkedAcksOptions {
  /// Of copied messages that have no commit yet; one that is larger alone has its place too.
  std::size_t max_bytes = std::size_t{8} << 20;
  /// How long a callback waits for room. Paho's thread stands still meanwhile; the pings are ours.
  std::chrono::milliseconds patience{15000};
};

/// Group commit: the callback returns at once, the spool makes what has come meanwhile durable with
/// one sync, and a thread of its own sends the acknowledgements in the order of arrival (decision
/// 0014).
///
/// While the disk takes nothing, messages of QoS 1 and 2 for which there is no room stay with the
/// broker: from the first one on everything of this connection is left unacknowledged, and once
/// there is room `on_room` asks for a new connection, on which the broker delivers it again.
///
/// A borrowed message keeps the callback until it is on disk, and the pings are ours meanwhile. It
/// is refused in the same way when the spool commits nothing for as long as the patience.
class ParkedAcks final : public Acknowledger {
 public:
  /// The references outlive it. `on_room` is called by the thread of this object.
  ParkedAcks(Spool& spool, ReceiverStats& stats, ParkedAcksOptions options,
             std::function<void()> on_room);
  ~ParkedAcks() override;
  ParkedAcks(const ParkedAcks&) = delete;
  ParkedAcks& operator=(const ParkedAcks&) = delete;

  [[nodiscard]] paho::AckTime ack_time() const noexcept override {
    return paho::AckTime::when_told;
  }
  void begin_connection(paho::Client& client) override;
  void hand_over(paho::Message message) noexcept override;
  void hand_over_large(const paho::LargeMessage& message) noexcept override;
  void end_connection() noexcept override;

 private:
  class Queue;

  void run(const std::stop_token& stop);
  [[nodiscard]] bool may_come_again(std::uint64_t bytes,
                                    std::chrono::steady_clock::time_point refused_at) const;
  /// `ids`, if there are any, are those of the acknowledged records.
  void send(std::span<const paho::Ack> acks, std::span<const SpoolId> ids, std::uint64_t connection,
            const std::stop_token& stop);
  static void trace(std::span<const paho::Ack> acks, std::span<const SpoolId> ids);

  Spool& spool_;
  ReceiverStats& stats_;
  const std::function<void()> on_room_;
  /// Shared with what the spool has not written yet, which may be the last to need it.
  const std::shared_ptr<Queue> queue_;

  /// Guards the fields below, also while the client is used. Taken before Paho's lock and the
  /// queue's own.
  std::mutex client_mutex_;
  paho::Client* client_ = nullptr;
  std::uint64_t connection_ = 0;

  std::jthread thread_;
};

}  // namespace m2b
