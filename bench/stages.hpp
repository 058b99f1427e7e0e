#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <vector>

namespace m2b::bench {

/// What one stage costs on one thread, with its bytes in the processor's cache as far as they fit.
struct StageResult {
  std::string name;
  double nanoseconds = 0;    // of processor time, for a message
  std::size_t bytes = 0;     // that it reads
  std::size_t messages = 0;  // measured

  [[nodiscard]] double gigabytes_per_second() const {
    return static_cast<double>(bytes) / nanoseconds;
  }
};

struct StagesResult {
  std::size_t picture_bytes = 0;
  std::size_t message_bytes = 0;
  std::vector<StageResult> stages;
};

/// The work on each message that is the daemon's own, stage by stage, for at least so many seconds
/// each, and a bare copy beside it.
[[nodiscard]] StagesResult run_stages(double seconds, std::size_t picture_bytes,
                                      const std::stop_token& stop);

}  // namespace m2b::bench
