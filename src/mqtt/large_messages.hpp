#pragma once

#include <cstddef>
#include <functional>

#include "m2b/spool/message.hpp"
#include "mqtt/keep_alive.hpp"
#include "mqtt/late_ack.hpp"

namespace m2b::paho {

/// A message that stands in Paho's receive buffer. There is no copy of it, so it is valid only
/// during Events::on_large_message(). For the thread of that call, which holds Paho's lock.
class LargeMessage {
 public:
  /// `keep_alive` outlives it.
  LargeMessage(const MessageView& view, Ack ack, KeepAlive& keep_alive)
      : view_(view), ack_(ack), keep_alive_(keep_alive) {}

  [[nodiscard]] const MessageView& view() const noexcept { return view_; }
  [[nodiscard]] Ack ack() const noexcept { return ack_; }

  /// To be called about every second while the call lasts; see KeepAlive::ping_in_callback().
  void keep_alive() const noexcept { keep_alive_.ping_in_callback(); }

 private:
  MessageView view_;
  Ack ack_;
  KeepAlive& keep_alive_;
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

  /// `take` is called on Paho's receiving thread, and must not throw. `keep_alive` outlives it.
  LargeMessages(std::size_t least_bytes, KeepAlive& keep_alive, Take take);
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
  KeepAlive& keep_alive_;
  const Take take_;
  void* connection_ = nullptr;
};

}  // namespace m2b::paho
