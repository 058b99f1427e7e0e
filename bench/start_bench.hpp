#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>

#include "bench/pipeline.hpp"

namespace m2b::bench {

struct StartResult {
  std::size_t picture_bytes = 0;
  std::size_t messages = 0;  // that wait in the spool
  bool cold = false;         // the spool's files are not in the page cache
  double fill_seconds = 0;
  std::uint64_t spool_bytes = 0;         // of its files
  double first_upload_seconds = 0;       // from the start of the process to the first object
  double ready_seconds = 0;              // to the answer that it is ready
  std::uint64_t peak_private_bytes = 0;  // of the daemon, until some thousands have been uploaded
};

/// Starts the daemon on a spool that is full, with a store that discards.
[[nodiscard]] StartResult run_start(const PipelineRun& run, std::size_t picture_bytes, bool cold,
                                    const std::stop_token& stop);

}  // namespace m2b::bench
