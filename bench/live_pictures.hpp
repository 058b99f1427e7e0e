#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "bench/latencies.hpp"
#include "bench/object_list.hpp"
#include "bench/pipeline.hpp"
#include "bench/publishers.hpp"

namespace m2b::bench {

/// Pictures that are published at a rate while others are what is measured, and seen again where
/// they should end: in the store's list, however they came there. Belongs to one thread.
class LivePictures {
 public:
  /// `run` says how, at which rate and how many at most. They get ids, and objects keys, that begin
  /// with `id_start`; nobody else's do.
  LivePictures(const PipelineRun& run, const Address& broker, const std::string& topic,
               std::size_t picture_bytes, const std::string& id_start, const StoreAccess& store,
               const std::stop_token& stop);

  void start() { publishers_.start(); }
  /// Asks the store which more it has. A latency is as exact as this is asked often.
  void look();
  /// Publishes no more.
  void no_more() { publishers_.no_more(); }
  /// No more comes, and the store has all.
  [[nodiscard]] bool ended() { return publishers_.ended() && stored() == published(); }

  [[nodiscard]] std::size_t published() const noexcept { return publishers_.published(); }
  [[nodiscard]] std::size_t stored() const noexcept { return stored_; }
  /// From publish to the list that had it.
  [[nodiscard]] std::optional<LatencySummary> latency() const { return latencies_.summary(); }

 private:
  std::string id_start_;
  ObjectList list_;
  std::size_t stored_ = 0;
  std::size_t first_missing_ = 0;
  std::string key_before_;                     // before that of the first that is missing
  std::map<std::size_t, std::string> behind_;  // keys that the store has behind it
  Latencies latencies_;
  Publishers publishers_;  // last: its threads use the latencies
};

}  // namespace m2b::bench
