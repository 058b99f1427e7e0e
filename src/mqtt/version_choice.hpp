#pragma once

#include "m2b/mqtt/options.hpp"

namespace m2b {

/// Which MQTT version the next connection speaks. With `automatic`: 5 first; the other one after
/// the broker refused the version, or closed the connection instead of answering, as some brokers
/// do with a version that they do not know (MQTT 3.1.1, section 3.1.2.2); otherwise the one that
/// worked last.
class VersionChoice {
 public:
  explicit VersionChoice(MqttVersion configured) noexcept
      : fixed_(configured != MqttVersion::automatic),
        current_(fixed_ ? configured : MqttVersion::v5),
        worked_(current_) {}

  /// v3_1_1 or v5.
  [[nodiscard]] MqttVersion current() const noexcept { return current_; }

  void connected() noexcept { worked_ = current_; }
  void failed(bool version_may_be_the_cause) noexcept {
    if (fixed_) {
      return;
    }
    if (version_may_be_the_cause) {
      current_ = current_ == MqttVersion::v5 ? MqttVersion::v3_1_1 : MqttVersion::v5;
    } else {
      current_ = worked_;
    }
  }

 private:
  bool fixed_;
  MqttVersion current_;
  MqttVersion worked_;
};

}  // namespace m2b
