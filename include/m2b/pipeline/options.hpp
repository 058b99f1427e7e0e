#pragma once

#include <chrono>
#include <cstddef>

#include "m2b/util/backoff.hpp"

namespace m2b {

struct PipelineOptions {
  std::size_t decoders = 1;   // threads
  std::size_t uploaders = 4;  // threads, each with a connection of its own
  /// Payload bytes that may be between spool and store at a time; a larger record passes alone.
  std::size_t in_flight_bytes = std::size_t{32} << 20;
  /// A longer payload goes to the dead letters. A hostile one may take about 14 times its length in
  /// memory while it is decoded.
  std::size_t max_message_bytes = std::size_t{32} << 20;
  BackoffPolicy backoff;
};

}  // namespace m2b
