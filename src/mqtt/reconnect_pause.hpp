#pragma once

#include <chrono>
#include <optional>

#include "m2b/util/backoff.hpp"

namespace m2b {

/// How long to wait before the next attempt to connect. Only a connection that held for a while
/// ends the growth of the pauses: a fight over the client id, or a broker that accepts us and then
/// throws us out, lets it go on, and so does an attempt that took long to fail.
class ReconnectPause {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kStableConnection{10};

  explicit ReconnectPause(BackoffPolicy policy) : backoff_(policy) {}

  /// The broker accepted us.
  void accepted(Clock::time_point now) noexcept { accepted_at_ = now; }

  /// The attempt failed, or the connection that it made has ended.
  [[nodiscard]] std::chrono::milliseconds next(Clock::time_point now) {
    if (accepted_at_ && now - *accepted_at_ >= kStableConnection) {
      backoff_.reset();
    }
    accepted_at_.reset();
    return backoff_.next();
  }

  /// Failed attempts and short connections in a row.
  [[nodiscard]] std::uint32_t attempts() const noexcept { return backoff_.attempts(); }

 private:
  Backoff backoff_;
  std::optional<Clock::time_point> accepted_at_;
};

}  // namespace m2b
