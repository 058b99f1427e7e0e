#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "m2b/util/backoff.hpp"

namespace m2b {

struct PipelineOptions {
  std::size_t decoders = 1;   // threads
  std::size_t uploaders = 0;  // threads, each with a connection; 0: as many as let most through
  bool batches = true;        // many small objects in one request, where the store takes that
  /// Payload bytes that may be between spool and store at a time; a larger record passes alone.
  std::size_t in_flight_bytes = std::size_t{16} << 20;
  /// While a backlog leaves, pictures that come in are uploaded ahead of it with this part of the
  /// bytes; 0: all in the order of arrival, 100: they always go first. They take up to another
  /// quarter of in_flight_bytes.
  unsigned live_percent = 50;
  /// A longer payload goes to the dead letters. While one is decoded it takes its own length, and
  /// up to 64 MiB besides.
  std::size_t max_message_bytes = std::size_t{32} << 20;
  /// Dead letters go to the bucket under keys that begin so; empty: they stay in the spool.
  std::string dead_letter_prefix = {};
  /// Pauses between probes while the store refuses everything, or a group of objects.
  BackoffPolicy backoff;
  /// Pauses of an object that is refused while others are stored, until it comes round again.
  BackoffPolicy postponement{.base = std::chrono::seconds(1), .cap = std::chrono::minutes(5)};
  /// How long an object that the store refuses for its own reasons is tried before it becomes a
  /// dead letter.
  std::chrono::seconds dead_letter_after{3600};
};

}  // namespace m2b
