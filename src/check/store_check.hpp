#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "check/lane.hpp"
#include "m2b/status/status_server.hpp"
#include "m2b/upload/options.hpp"
#include "m2b/upload/s3_store.hpp"

namespace m2b::check {

/// Probe objects are under it, and nothing else. Documented in docs/operations.md.
inline constexpr std::string_view kProbePrefix = "mqtt-to-blob-check/";

/// What the store said before anything is written.
struct StoreReplies {
  StoreReply bucket;  // to the question where the bucket is
  StoreReply object;  // to the request for an object that does not exist
  std::optional<std::chrono::seconds> clock_offset;  // how much further the store's clock is
};

using NamedFinding = std::pair<std::string_view, Finding>;

/// The findings of the steps answer, clock, key, region and bucket, in order, up to the first that
/// failed. `now` is the time here. Pure.
[[nodiscard]] std::vector<NamedFinding> read_replies(const StoreReplies& replies,
                                                     const StoreOptions& options,
                                                     const StatusNames& names, bool writes,
                                                     std::chrono::sys_seconds now);

/// The names of the steps of check_store().
[[nodiscard]] std::vector<std::string_view> store_steps(const StoreOptions& options);

/// Proxy, name, TCP, TLS, the store, its clock, key, region and bucket; with `writes` a probe
/// object. Blocks until the lane ends.
void check_store(Lane& lane, const StoreOptions& options, const StatusNames& names, bool writes,
                 const std::stop_token& stop);

}  // namespace m2b::check
