#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "m2b/spool/message.hpp"
#include "mqtt/late_ack.hpp"

namespace m2b::paho {

/// A message that stands in Paho's receive buffer. There is no copy of it, so it is valid only
/// during Events::on_large_message(). For the thread of that call, which holds Paho's lock.
class LargeMessage {
 public:
  using Clock = std::chrono::steady_clock;

  /// `send_ping` writes one PINGREQ, or nothing while the socket is full.
  LargeMessage(const MessageView& view, Ack ack, std::chrono::seconds keep_alive,
               std::function<void()> send_ping)
      : view_(view),
        ack_(ack),
        ping_interval_(keep_alive / 2),
        ping_at_(Clock::now() + kFirstPing),
        send_ping_(std::move(send_ping)) {}

  [[nodiscard]] const MessageView& view() const noexcept { return view_; }
  [[nodiscard]] Ack ack() const noexcept { return ack_; }

  /// To be called about every second while the call lasts: as long as it does, Paho itself sends no
  /// PINGREQ, and the broker closes a connection that is silent for one and a half intervals of
  /// keep-alive (MQTT 5, section 3.1.2.10).
  void keep_alive() const {
    if (Clock::now() >= ping_at_) {
      ping_at_ = Clock::now() + ping_interval_;
      send_ping_();
    }
  }

 private:
  /// Paho sent its last packet up to one interval ago, while it received the message.
  static constexpr std::chrono::seconds kFirstPing{1};

  MessageView view_;
  Ack ack_;
  std::chrono::milliseconds ping_interval_;
  mutable Clock::time_point ping_at_;
  std::function<void()> send_ping_;
};

/// Delivers large messages without a copy: Paho copies each payload out of its receive buffer
/// before it calls back, which for a message of MQTT's maximum are 256 MiB more (decision 0027). By
/// the linker, as LateAck. One object for one handle.
class LargeMessages {
 public:
  /// From this payload on. Shorter ones are copied, so that Paho can receive the next one while
  /// they wait for their commit.
  static constexpr std::size_t kLeastBytes = std::size_t{4} << 20;

  using Take = std::function<void(const LargeMessage&)>;

  /// Whether this program was linked so that it can work; if not, every message is copied.
  [[nodiscard]] static bool is_linked() noexcept { return LateAck::is_linked(); }

  /// `take` is called on Paho's receiving thread, and must not throw.
  LargeMessages(std::size_t least_bytes, std::string client_id, std::chrono::seconds keep_alive,
                Take take);
  /// Only once the handle is gone.
  ~LargeMessages();
  LargeMessages(const LargeMessages&) = delete;
  LargeMessages& operator=(const LargeMessages&) = delete;

  /// Called in Paho's callback for a connection that was accepted, on its thread.
  void begin() noexcept;

  /// What Paho has of a PUBLISH that it is about to copy. Returns whether it was taken.
  struct Publish;
  [[nodiscard]] static bool take(Publish& publish) noexcept;

 private:
  const std::size_t least_bytes_;
  const std::string client_id_;
  const std::chrono::seconds keep_alive_;
  const Take take_;
  void* connection_ = nullptr;
};

}  // namespace m2b::paho
