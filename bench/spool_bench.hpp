#pragma once

#include <cstddef>
#include <filesystem>
#include <stop_token>

namespace m2b::bench {

struct SpoolRun {
  std::filesystem::path folder;  // below it everything is written
  std::size_t messages = 1000;
  std::size_t waiters = 20;
};

struct SpoolResult {
  std::size_t picture_bytes = 0;
  std::size_t message_bytes = 0;
  std::size_t messages = 0;
  std::size_t waiters = 0;
  double one_seconds = 0;    // waiting for each ticket
  double many_seconds = 0;   // with `waiters` tickets open
  double limit_seconds = 0;  // bare writes into a file that has its blocks, each with fdatasync

  /// In one of these times.
  [[nodiscard]] double per_second(double seconds) const {
    return static_cast<double>(messages) / seconds;
  }
};

/// Appends so many pictures, with `waiters` tickets open, to a spool that is made if need be. The
/// seconds it took.
double append_pictures(const std::filesystem::path& spool, std::size_t picture_bytes,
                       std::size_t messages, std::size_t waiters, const std::stop_token& stop);

/// Appends the messages to a fresh spool, twice, and writes the same bytes without one.
[[nodiscard]] SpoolResult run_spool(const SpoolRun& run, std::size_t picture_bytes,
                                    const std::stop_token& stop);

}  // namespace m2b::bench
