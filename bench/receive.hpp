#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>

#include "bench/pipeline.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

struct ReceiveResult {
  std::size_t picture_bytes = 0;
  std::size_t message_bytes = 0;
  std::size_t messages = 0;
  std::chrono::milliseconds sync_delay{0};
  double publish_seconds = 0;  // first publish to the broker's last acknowledgement
  double seconds = 0;          // first publish to the last message on disk
  CpuTime bridge_cpu;
  std::uint64_t peak_private_bytes = 0;
  double limit_seconds = 0;  // of bare writes with a sync each

  [[nodiscard]] double per_second() const { return static_cast<double>(messages) / seconds; }
  [[nodiscard]] double limit_per_second() const {
    return static_cast<double>(messages) / limit_seconds;
  }
  [[nodiscard]] double ratio() const { return per_second() / limit_per_second(); }
};

/// Messages into the spool while the store is away, then the same bytes in bare writes. With a
/// delay each sync of either takes so much longer.
[[nodiscard]] ReceiveResult run_receive(const PipelineRun& run, std::size_t picture_bytes,
                                        std::chrono::milliseconds sync_delay,
                                        const std::stop_token& stop);

}  // namespace m2b::bench
