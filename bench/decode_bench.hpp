#pragma once

#include <cstddef>
#include <stop_token>

namespace m2b::bench {

struct DecodeResult {
  std::size_t picture_bytes = 0;
  std::size_t message_bytes = 0;
  std::size_t messages = 0;  // decoded in that time
  double seconds = 0;

  [[nodiscard]] double nanoseconds_per_message() const {
    return seconds * 1e9 / static_cast<double>(messages);
  }
  /// Of message bytes.
  [[nodiscard]] double gigabytes_per_second() const {
    return static_cast<double>(message_bytes) * static_cast<double>(messages) / seconds / 1e9;
  }
};

/// Decodes one record again and again on one thread, for at least so many seconds.
[[nodiscard]] DecodeResult run_decode(double seconds, std::size_t picture_bytes,
                                      const std::stop_token& stop);

}  // namespace m2b::bench
