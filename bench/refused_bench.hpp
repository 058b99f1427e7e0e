#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "bench/latencies.hpp"
#include "bench/pipeline.hpp"

namespace m2b::bench {

struct RefusedOptions {
  std::size_t objects = 10'000;
  double rate_seconds = 20;   // how long the second phase publishes
  double limit_seconds = 60;  // of a phase, beyond the time that its publishing takes at a rate
};

/// Messages whose objects the store takes, and what became of them.
struct RefusedPhase {
  std::size_t messages = 0;
  std::size_t stored = 0;  // by the store's answers
  /// First publish to the last answer; where not all are stored, to the end of the phase.
  double seconds = 0;
  double refused_per_second = 0;          // requests that the store refused meanwhile
  std::optional<LatencySummary> latency;  // of those that are stored

  [[nodiscard]] bool is_complete() const { return stored == messages; }
  [[nodiscard]] double per_second() const { return static_cast<double>(stored) / seconds; }
};

/// What was measured of one daemon.
struct RefusedSide {
  double fill_seconds = 0;
  std::size_t waiting = 0;               // messages in the spool when the first phase begins
  RefusedPhase fast;                     // messages as fast as it goes
  RefusedPhase paced;                    // messages at a rate
  std::uint64_t peak_private_bytes = 0;  // of the daemon, in both phases
};

struct RefusedResult {
  std::size_t picture_bytes = 0;
  double rate = 0;  // of the second phase, messages per second
  RefusedSide without;
  RefusedSide with;

  /// With refused objects to without; nothing where there is nothing to compare with.
  [[nodiscard]] std::optional<double> rate_ratio() const;
  /// Also nothing where not all messages of a side were stored: it has no p99.
  [[nodiscard]] std::optional<double> p99_ratio() const;
};

/// Two daemons, each with broker, store and spool anew. Both first get the same messages of one
/// prefix, and then the messages that are measured, in two phases. One store takes all objects, the
/// other one refuses those of the prefix, which wait. A phase ends in bounded time, whatever is
/// stored.
[[nodiscard]] RefusedResult run_refused(const PipelineRun& run, const RefusedOptions& options,
                                        std::size_t picture_bytes, const std::stop_token& stop);

}  // namespace m2b::bench
