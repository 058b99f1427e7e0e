#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <vector>

#include "bench/usage.hpp"

namespace m2b::bench {

/// The largest message.
inline constexpr std::size_t kMaxFifoBytes = std::size_t{4} << 20;
/// The least of FifoRun::most_queued_bytes: a quarter of that must not be less than a message.
inline constexpr std::uint64_t kMinQueuedBytes = 4 * kMaxFifoBytes;
/// The least of FifoRun::total_bytes: no tenth without a message.
inline constexpr std::uint64_t kMinFifoTotalBytes = 10 * kMaxFifoBytes;

struct FifoRun {
  std::filesystem::path folder;  // below it everything is written
  std::uint64_t total_bytes = 0;
  std::uint64_t most_queued_bytes = 0;  // at once
  std::size_t waiters = 20;
};

/// What happened while a tenth of the bytes came.
struct FifoTenth {
  std::uint64_t bytes = 0;
  double seconds = 0;
  double limit_bytes_per_second = 0;    // of bare writes meanwhile, mean of several
  CpuTime cpu;                          // of the bench, in which the spool is
  std::uint64_t peak_queued_bytes = 0;  // by the spool's accounts
  std::uint64_t file_bytes = 0;         // at its end; the file never shrinks

  [[nodiscard]] double bytes_per_second() const { return static_cast<double>(bytes) / seconds; }
  [[nodiscard]] double ratio() const { return bytes_per_second() / limit_bytes_per_second; }
  [[nodiscard]] double cpu_seconds_per_gib() const {
    constexpr double kGibibyte = 1 << 30;
    return cpu.total() / static_cast<double>(bytes) * kGibibyte;
  }
};

struct FifoResult {
  FifoRun run;
  std::size_t messages = 0;  // each read back and compared before it was removed
  std::vector<FifoTenth> tenths;

  [[nodiscard]] double last_to_first_speed() const {
    return tenths.back().bytes_per_second() / tenths.front().bytes_per_second();
  }
  /// The same of speeds that are relative to the disk's at that time.
  [[nodiscard]] double last_to_first_ratio() const {
    return tenths.back().ratio() / tenths.front().ratio();
  }
  [[nodiscard]] std::uint64_t peak_queued_bytes() const;
  [[nodiscard]] double file_to_queued() const {
    return static_cast<double>(tenths.back().file_bytes) / static_cast<double>(peak_queued_bytes());
  }
};

/// Appends messages of 1 KiB to 4 MiB to a fresh spool, reads and removes the oldest ones, in a
/// queue that becomes longer and shorter. Throws if one is not what was appended.
[[nodiscard]] FifoResult run_fifo(const FifoRun& run, const std::stop_token& stop);

}  // namespace m2b::bench
