#include <sysexits.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/drain.hpp"
#include "bench/fifo_bench.hpp"
#include "bench/line.hpp"
#include "bench/options.hpp"
#include "bench/pipeline.hpp"
#include "bench/put_loop.hpp"
#include "bench/receive.hpp"
#include "bench/refused_bench.hpp"
#include "bench/report.hpp"
#include "bench/sizes.hpp"
#include "bench/soak.hpp"
#include "bench/spool_bench.hpp"
#include "bench/stages.hpp"
#include "bench/start_bench.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/usage.hpp"
#include "m2b/upload/s3_store.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/process.hpp"

namespace m2b::bench {
namespace {

constexpr int kInterrupted = 130;  // as shells say it

/// The results go to where they were asked for.
template <class Result>
void write(const std::string& name, const Options& options, const std::vector<Result>& results) {
  nlohmann::json runs = nlohmann::json::array();
  for (const Result& result : results) runs.push_back(to_json(result));
  const std::string json =
      nlohmann::json{{"command", name}, {"version", M2B_VERSION}, {"runs", runs}}.dump(2) + "\n";
  if (options.json == "-") {
    fmt::print("{}", json);
    return;
  }
  fmt::print("{}", table(results));
  if (!options.json.empty() && !(std::ofstream(options.json) << json).flush()) {
    throw std::runtime_error(
        fmt::format("--json: '{}' cannot be written; name another file", options.json));
  }
}

/// Runs once for each size.
template <class Run>
void report(const std::string& name, const Options& options, Run run) {
  std::vector<decltype(run(std::size_t{}))> results;
  for (const std::string& size : options.sizes) results.push_back(run(parse_size(size)));
  write(name, options, results);
}

PutResultRow run_put(const Options& options, std::size_t size, const std::stop_token& stop) {
  const PipelineRun& run = options.pipeline;
  const TemporaryFolder folder(run.folder);
  const auto store = make_store(
      run.store, folder.path(), [](std::string_view) {}, stop);
  StoreAccess access = store->access();
  std::optional<Line> line;
  if (options.line.rtt_ms > 0 || options.line.megabits > 0) {
    line.emplace(access.address, options.line);
    line->open();
    access.address = line->address();
  }
  const Picture picture(size);
  PutResultRow row{size, run.messages, run.put_threads, options.batch, 0, {}, {}};
  const CpuTime bench_before = cpu_time(::getpid());
  const std::optional<CpuTime> store_before = store->cpu();
  row.seconds = bare_puts(access, picture, {run.messages, run.put_threads, options.batch}, stop);
  row.bench_cpu = cpu_time(::getpid()) - bench_before;
  if (store_before) row.store_cpu = *store->cpu() - *store_before;
  return row;
}

int run(int argc, char** argv) {
  const StopSignals signals;
  const CurlGlobal curl;
  log::set_level(log::Level::warning);
  const std::stop_token stop = signals.token();

  Options options;
  options.pipeline.folder = ".";
  options.pipeline.bridge.program = beside_us("mqtt-to-blob");
  CLI::App app("Measures mqtt-to-blob against the limits of disk and store (bench/README.md).",
               "mqtt-to-blob-bench");
  app.require_subcommand(1);
  CLI::App& pipeline = *app.add_subcommand("pipeline", "broker to store, through the daemon");
  add_pipeline(pipeline, options);
  CLI::App& soak =
      *app.add_subcommand("soak", "the pipeline for long, and what the daemon takes meanwhile");
  Options soaking = options;
  add_soak(soak, soaking);
  CLI::App& receive =
      *app.add_subcommand("receive", "broker to disk, through the daemon, with the store away");
  add_receive(receive, options);
  CLI::App& drain =
      *app.add_subcommand("drain", "a backlog to the store, through the daemon, over a bad line");
  Options draining = options;
  add_drain(drain, draining);
  CLI::App& start = *app.add_subcommand("start", "the daemon's start on a spool that is full");
  Options starting = options;
  add_start(start, starting);
  CLI::App& refused = *app.add_subcommand(
      "refused", "the pipeline while the store refuses the objects of a prefix");
  Options refusing = options;
  add_refused(refused, refusing);
  CLI::App& spool = *app.add_subcommand("spool", "messages to disk");
  add_spool(spool, options);
  CLI::App& fifo =
      *app.add_subcommand("fifo", "messages to disk and away again, the spool in long service");
  add_fifo(fifo, options);
  CLI::App& stages = *app.add_subcommand("stages", "the daemon's own work on a message, in parts");
  stages.alias("decode");
  add_stages(stages, options);
  CLI::App& put = *app.add_subcommand("put", "objects into the store, without the daemon");
  add_put(put, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EX_OK : EX_USAGE;
  }

  PipelineRun& run = options.pipeline;
  constexpr unsigned kFillMinio = 16;
  const unsigned uploaders = run.bridge.uploaders != 0 ? run.bridge.uploaders : kFillMinio;
  run.put_threads = options.put_threads != 0 ? options.put_threads : uploaders;
  if (pipeline.parsed()) {
    report("pipeline", options, [&](std::size_t size) { return run_pipeline(run, size, stop); });
  } else if (soak.parsed()) {
    report("soak", soaking, [&](std::size_t size) {
      return run_soak(soaking.pipeline, soaking.minutes, size, stop);
    });
  } else if (receive.parsed()) {
    const std::chrono::milliseconds delay(options.sync_delay_ms);
    report("receive", options,
           [&](std::size_t size) { return run_receive(run, size, delay, stop); });
  } else if (drain.parsed()) {
    report("drain", draining, [&](std::size_t size) {
      return run_drain(draining.pipeline, draining.line, draining.live_rate, size, stop);
    });
  } else if (start.parsed()) {
    report("start", starting, [&](std::size_t size) {
      return run_start(starting.pipeline, size, starting.cold, stop);
    });
  } else if (refused.parsed()) {
    report("refused", refusing, [&](std::size_t size) {
      return run_refused(refusing.pipeline, refusing.refused, size, stop);
    });
  } else if (spool.parsed()) {
    const SpoolRun spool_run{run.folder, run.messages, options.waiters};
    report("spool", options, [&](std::size_t size) { return run_spool(spool_run, size, stop); });
  } else if (fifo.parsed()) {
    write("fifo", options, std::vector{run_fifo(fifo_run(options), stop)});
  } else if (stages.parsed()) {
    report("stages", options,
           [&](std::size_t size) { return run_stages(options.stage_seconds, size, stop); });
  } else {
    report("put", options, [&](std::size_t size) { return run_put(options, size, stop); });
  }
  return EX_OK;
}

}  // namespace
}  // namespace m2b::bench

int main(int argc, char** argv) {
  m2b::reserve_standard_descriptors();
  try {
    return m2b::bench::run(argc, argv);
  } catch (const m2b::bench::Interrupted&) {
    return m2b::bench::kInterrupted;
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "mqtt-to-blob-bench: {}\n", error.what());
    return EX_USAGE;
  } catch (const std::exception& error) {
    fmt::print(stderr, "mqtt-to-blob-bench: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
