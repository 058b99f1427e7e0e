#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include "m2b/util/token_bucket.hpp"

namespace m2b {

/// The bytes a second that all connections share, however many there are. Each takes before it
/// sends, and waits for its turn: first come, first served, in small shares. Thread-safe.
class BandwidthLimit {
 public:
  /// 0: no limit; nobody ever waits.
  explicit BandwidthLimit(std::uint64_t bytes_per_second);

  /// Blocks until some of the wanted bytes (at least 1) may be sent, and says how many: about a
  /// second at most where there are a few bytes a second for each who waits. 0 once `abort` is
  /// requested, which ends the wait at once; what was waited for is then forgone.
  [[nodiscard]] std::size_t take(std::size_t wanted, const std::stop_token& abort);

  [[nodiscard]] bool is_limited() const noexcept { return is_limited_; }

 private:
  const bool is_limited_;
  std::mutex mutex_;  // guards the fields below
  TokenBucket bucket_;
  std::uint64_t waiting_ = 0;
};

}  // namespace m2b
