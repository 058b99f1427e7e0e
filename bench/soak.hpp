#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "bench/bridge.hpp"
#include "bench/latencies.hpp"
#include "bench/pipeline.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

/// What happened in a minute, or in a tenth of a shorter run.
struct SoakRow {
  double end_seconds = 0;  // since the first publish
  double seconds = 0;
  std::size_t stored = 0;
  std::optional<LatencySummary> latency;  // of the messages whose time to be published was in it
  CpuTime bridge_cpu;
  Footprint most;  // of the bridge: of each the most that was seen

  [[nodiscard]] double per_second() const { return static_cast<double>(stored) / seconds; }
  [[nodiscard]] double processors() const { return bridge_cpu.total() / seconds; }
};

struct SoakResult {
  /// Means of the first and of the last third of the rows.
  struct Growth {
    double first = 0;
    double last = 0;

    [[nodiscard]] std::optional<double> ratio() const {
      return first > 0 ? std::optional(last / first) : std::nullopt;
    }
  };

  std::size_t picture_bytes = 0;
  double rate = 0;  // messages a second
  double minutes = 0;
  std::size_t messages = 0;
  std::size_t stored = 0;
  std::vector<SoakRow> rows;

  [[nodiscard]] Growth growth(std::uint64_t Footprint::*of) const;
};

/// Broker, store and bridge anew; pictures through them at the rate of `run` for so many minutes,
/// and a look at the bridge all the time.
[[nodiscard]] SoakResult run_soak(const PipelineRun& run, double minutes, std::size_t picture_bytes,
                                  const std::stop_token& stop);

}  // namespace m2b::bench
