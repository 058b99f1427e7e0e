#pragma once

#include "m2b/mqtt/options.hpp"

namespace m2b {

/// Which MQTT version the next connection speaks. With `automatic` 5 is tried first, and the other
/// one after the broker refused the version, or closed the connection instead of answering, as some
/// brokers do with a version that they do not know (MQTT 3.1.1, section 3.1.2.2). Only the refusal
/// is proof: 3.1.1 is tried first from then on if it is accepted right after one. A mere hang-up
/// may as well come from a load balancer or a broker that is just starting, so after it the next
/// connection begins with 5 again.
class VersionChoice {
 public:
  explicit VersionChoice(MqttVersion configured) noexcept
      : fixed_(configured != MqttVersion::automatic),
        first_(fixed_ ? configured : MqttVersion::v5),
        current_(first_) {}

  /// v3_1_1 or v5.
  [[nodiscard]] MqttVersion current() const noexcept { return current_; }

  /// The broker accepted the current version.
  void connected() noexcept {
    if (current_ == MqttVersion::v5 || other_was_refused_) {
      first_ = current_;
    }
    begin_again();
  }
  /// The broker said that it does not know the current version.
  void version_refused() noexcept { change(true); }
  /// The broker closed the connection instead of answering.
  void hung_up() noexcept { change(false); }
  /// The attempt failed for a reason that has nothing to do with the version.
  void failed() noexcept { begin_again(); }

 private:
  void begin_again() noexcept {
    current_ = first_;
    other_was_refused_ = false;
  }
  void change(bool refused) noexcept {
    if (!fixed_) {
      current_ = current_ == MqttVersion::v5 ? MqttVersion::v3_1_1 : MqttVersion::v5;
      other_was_refused_ = refused;
    }
  }

  bool fixed_;
  MqttVersion first_;
  MqttVersion current_;
  bool other_was_refused_ = false;  // the attempt before this one ended with the broker's refusal
};

}  // namespace m2b
