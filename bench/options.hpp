#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/fifo_bench.hpp"
#include "bench/line.hpp"
#include "bench/pipeline.hpp"
#include "bench/refused_bench.hpp"

namespace m2b::bench {

/// All that the command line can say.
struct Options {
  std::vector<std::string> sizes{"100KiB"};
  std::string json;  // a path, or - for stdout
  PipelineRun pipeline;
  std::size_t waiters = 20;
  std::size_t batch = 1;     // objects of `put` in one request
  unsigned put_threads = 0;  // 0: as many as the bridge has
  double stage_seconds = 0.5;
  int sync_delay_ms = 0;
  LineOptions line;
  double live_rate = 0;
  double minutes = 10;  // of `soak`
  RefusedOptions refused;
  bool cold = false;  // `start` with files that are not in the page cache
  std::string total = "10GiB";
  std::string queued = "256MiB";
};

/// What each command can be told; some have defaults of their own, hence options of their own.
void add_pipeline(CLI::App& command, Options& options);
void add_soak(CLI::App& command, Options& options);
void add_receive(CLI::App& command, Options& options);
void add_drain(CLI::App& command, Options& options);
void add_start(CLI::App& command, Options& options);
void add_refused(CLI::App& command, Options& options);
void add_spool(CLI::App& command, Options& options);
void add_fifo(CLI::App& command, Options& options);
void add_stages(CLI::App& command, Options& options);
void add_put(CLI::App& command, Options& options);

/// Of options that were accepted.
[[nodiscard]] FifoRun fifo_run(const Options& options);

}  // namespace m2b::bench
