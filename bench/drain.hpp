#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "bench/latencies.hpp"
#include "bench/line.hpp"
#include "bench/pipeline.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

struct DrainResult {
  std::size_t picture_bytes = 0;
  std::size_t messages = 0;  // of the backlog
  LineOptions line;
  unsigned uploaders = 0;
  double fill_seconds = 0;
  double seconds = 0;          // from the opening of the line until the backlog has left the spool
  double reached_seconds = 0;  // of these, until the bridge first connected again
  std::size_t stored = 0;      // of the backlog, by the store's list; without one, by the bridge
  std::size_t objects = 0;     // that left in that time, live ones among them
  std::uint64_t line_bytes = 0;  // that crossed the line in that time, towards the store
  std::size_t connections = 0;
  CpuTime bridge_cpu;  // these three: in that time
  CpuTime line_cpu;
  std::optional<CpuTime> store_cpu;
  std::uint64_t peak_private_bytes = 0;  // of the bridge, in that time
  double live_rate = 0;                  // messages a second
  std::size_t live_published = 0;
  std::size_t live_stored = 0;
  std::optional<LatencySummary> live_latency;

  /// Without the time in which the bridge did not know yet that the line is open.
  [[nodiscard]] double draining_seconds() const { return seconds - reached_seconds; }
  [[nodiscard]] double objects_per_second() const {
    return static_cast<double>(objects) / draining_seconds();
  }
  [[nodiscard]] double body_bytes_per_second() const {
    return objects_per_second() * static_cast<double>(picture_bytes);
  }
  [[nodiscard]] double line_bytes_per_second() const {
    return static_cast<double>(line_bytes) / draining_seconds();
  }
  /// Of the line's rate: all that crossed it, and the pictures alone. Nothing where it has no
  /// limit.
  [[nodiscard]] std::optional<double> line_share() const { return share(line_bytes_per_second()); }
  [[nodiscard]] std::optional<double> goodput_share() const {
    return share(body_bytes_per_second());
  }

 private:
  [[nodiscard]] std::optional<double> share(double bytes_per_second) const {
    if (line.megabits == 0) return std::nullopt;
    return bytes_per_second * 8 / (line.megabits * 1e6);
  }
};

/// Fills the spool while the store cannot be reached, opens a line to the store, and waits until
/// the backlog is gone. With `live_rate` so many pictures a second come meanwhile.
[[nodiscard]] DrainResult run_drain(const PipelineRun& run, const LineOptions& line_options,
                                    double live_rate, std::size_t picture_bytes,
                                    const std::stop_token& stop);

}  // namespace m2b::bench
