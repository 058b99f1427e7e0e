#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/askers.hpp"
#include "bench/bridge.hpp"
#include "bench/latencies.hpp"
#include "bench/peer.hpp"
#include "bench/store.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

struct PipelineRun {
  std::string broker;  // host:port; empty: our own
  StoreChoice store;
  BridgeOptions bridge;
  PeerOptions peer;
  AskOptions ask;
  std::filesystem::path folder;  // below it everything is written
  std::size_t messages = 1000;
  std::size_t first = 0;  // number of the first message
  int qos = 1;
  unsigned publishers = 1;
  std::size_t in_flight = 20;  // of each publisher; fewer where the messages are large
  double rate = 0;             // messages per second; 0: as fast as it goes
  unsigned put_threads = 4;    // of the limit
};

/// What was measured of a bridge.
struct BridgeRun {
  std::size_t stored = 0;
  double publish_seconds = 0;  // first publish to last acknowledgement
  double seconds = 0;          // first publish to last stored
  /// Publishing took nearly as long as all of it: the bridge may have waited for messages.
  bool publisher_limited = false;
  CpuTime bridge_cpu;  // these four: of the whole run
  CpuTime bench_cpu;   // publishers, and the discard store
  std::optional<CpuTime> broker_cpu;
  std::optional<CpuTime> store_cpu;
  std::uint64_t peak_private_bytes = 0;  // of the bridge
  std::optional<LatencySummary> latency;
  std::optional<double> answers_per_second;  // of its status listener, if it was asked

  [[nodiscard]] double per_second() const { return static_cast<double>(stored) / seconds; }
};

struct PeerRun {
  PeerQueue queue = PeerQueue::none;
  BridgeRun run;
};

/// Ours to the peer's, of what was measured.
struct PeerRatios {
  std::optional<double> messages;  // per second; nothing where they came at a rate
  std::optional<double> cpu;
  std::optional<double> memory;
  std::optional<double> p50;
  std::optional<double> p99;
};

struct PipelineResult {
  std::size_t picture_bytes = 0;
  std::size_t messages = 0;
  BridgeRun bridge;
  std::vector<PeerRun> peers;
  double limit_seconds = 0;  // of the bare PUTs
  bool has_rate = false;     // messages came at a rate: no limit of the bridge

  [[nodiscard]] std::optional<double> ratio() const {
    if (has_rate) return std::nullopt;
    return bridge.per_second() / limit_per_second();
  }
  [[nodiscard]] double limit_per_second() const {
    return static_cast<double>(messages) / limit_seconds;
  }
  [[nodiscard]] PeerRatios ratios_to(const BridgeRun& peer) const;
};

/// Broker, store and bridge anew; `messages` pictures of that size through them, and as many bare
/// PUTs into the same store, half of them before and half behind, since disk and processors of a
/// shared machine do not stay as they are. Then the same with the peer in the bridge's place, once
/// for each PeerQueue, if there is a peer.
[[nodiscard]] PipelineResult run_pipeline(const PipelineRun& run, std::size_t picture_bytes,
                                          const std::stop_token& stop);

}  // namespace m2b::bench
