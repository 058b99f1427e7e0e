#pragma once

#include <optional>

namespace m2b {

/// What this process takes of the machine.
struct ProcessUsage {
  double start_time_seconds = 0;  // since 1970
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double open_fds = 0;
};

/// From /proc, now; nothing where that cannot be read.
[[nodiscard]] std::optional<ProcessUsage> read_process_usage();

}  // namespace m2b
