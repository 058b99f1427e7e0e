#include "bench/lane.hpp"

#include <algorithm>

namespace m2b::bench {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;

/// On a short line: enough that a thread which is woken late still finds bytes that wait.
constexpr std::chrono::milliseconds kLeastWaiting{20};
constexpr duration<double> kChunkTime{0.002};
constexpr double kMinChunkBytes = 1460;  // a segment of Ethernet
constexpr double kMaxChunkBytes = 64 << 10;

}  // namespace

Lane::Lane(double bytes_per_second, Clock::duration delay)
    : bytes_per_second_(bytes_per_second),
      delay_(delay),
      most_waiting_(std::max<Clock::duration>(2 * delay, kLeastWaiting)),
      chunk_bytes_(static_cast<std::size_t>(
          bytes_per_second > 0
              ? std::clamp(bytes_per_second * kChunkTime.count(), kMinChunkBytes, kMaxChunkBytes)
              : kMaxChunkBytes)) {}

Lane::Clock::time_point Lane::enter(std::size_t bytes, Clock::time_point now) {
  free_at_ = std::max(free_at_, now);
  if (bytes_per_second_ > 0) {
    free_at_ += duration_cast<Clock::duration>(
        duration<double>(static_cast<double>(bytes) / bytes_per_second_));
  }
  return free_at_ + delay_;
}

}  // namespace m2b::bench
