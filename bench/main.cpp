#include <sysexits.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
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

#include "bench/decode_bench.hpp"
#include "bench/drain.hpp"
#include "bench/fifo_bench.hpp"
#include "bench/line.hpp"
#include "bench/pipeline.hpp"
#include "bench/put_loop.hpp"
#include "bench/receive.hpp"
#include "bench/report.hpp"
#include "bench/sizes.hpp"
#include "bench/spool_bench.hpp"
#include "bench/start_bench.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/usage.hpp"
#include "m2b/upload/s3_store.hpp"
#include "m2b/util/log.hpp"

namespace m2b::bench {
namespace {

constexpr int kInterrupted = 130;  // as shells say it

/// All that the command line can say.
struct Options {
  std::vector<std::string> sizes{"100KiB"};
  std::string json;  // a path, or - for stdout
  PipelineRun pipeline;
  std::size_t waiters = 20;
  std::size_t batch = 1;     // objects of `put` in one request
  unsigned put_threads = 0;  // 0: as many as the bridge has
  double decode_seconds = 1;
  int sync_delay_ms = 0;
  LineOptions line;
  double live_rate = 0;
  bool cold = false;  // `start` with files that are not in the page cache
  std::string total = "10GiB";
  std::string queued = "256MiB";
};

std::string beside_us(const char* name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

/// What `parse` throws, as the parser of the command line wants it.
template <class Parse>
auto accepted_by(Parse parse) {
  return [parse](const std::string& text) -> std::string {
    try {
      static_cast<void>(parse(text));
      return {};
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
  };
}

void add_json(CLI::App& command, Options& options) {
  command.add_option("--json", options.json,
                     "also write the results as JSON there; -: to stdout, "
                     "and no table");
}

void add_common(CLI::App& command, Options& options) {
  command
      .add_option("--size", options.sizes, "decoded bytes of a picture, such as 1KiB; repeatable")
      ->capture_default_str()
      ->check(accepted_by(parse_size));
  add_json(command, options);
}

void add_folder(CLI::App& command, Options& options) {
  command
      .add_option("--dir", options.pipeline.folder,
                  "a folder on the disk to measure; a temporary one is made in it")
      ->default_str(".")
      ->check(CLI::ExistingDirectory);
}

void add_messages(CLI::App& command, Options& options) {
  command.add_option("--messages", options.pipeline.messages, "messages of each size")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000'000));
  add_folder(command, options);
}

void add_store(CLI::App& command, Options& options) {
  StoreChoice& store = options.pipeline.store;
  command.add_option("--store", store.kind, "minio, discard or http://host:port")
      ->capture_default_str();
  command.add_option("--minio", store.minio,
                     "MinIO's program (default: $MINIO_BIN, or what scripts/minio obtained)");
  command.add_option("--access-key", store.access_key, "of a store given by its URL");
  command.add_option("--secret-key", store.secret_key, "of a store given by its URL");
  command.add_option("--bucket", store.bucket, "gets the objects, and keeps them")
      ->capture_default_str();
}

void add_put_threads(CLI::App& command, Options& options) {
  command
      .add_option("--put-threads", options.put_threads,
                  "threads of the bare PUTs (default: as many as uploaders, or 16)")
      ->check(CLI::Range(1, 256));
}

void add_daemon(CLI::App& command, Options& options) {
  PipelineRun& run = options.pipeline;
  command.add_option("--broker", run.broker, "host:port of a running broker");
  command.add_option("--bridge", run.bridge.program, "the daemon's program")->capture_default_str();
  command.add_option("--uploaders", run.bridge.uploaders, "the daemon's UPLOADER_THREADS")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  command.add_option("--set", run.bridge.settings, "NAME=VALUE: a further setting of the daemon")
      ->check([](const std::string& text) -> std::string {
        return text.find('=') != std::string::npos
                   ? ""
                   : fmt::format("'{}' is no setting; give NAME=VALUE", text);
      });
}

/// Of broker, daemon and publishers.
void add_bridge(CLI::App& command, Options& options) {
  PipelineRun& run = options.pipeline;
  add_common(command, options);
  add_messages(command, options);
  add_daemon(command, options);
  command.add_option("--qos", run.qos, "of messages and subscription")
      ->capture_default_str()
      ->check(CLI::Range(0, 2));
  command.add_option("--publishers", run.publishers, "connections that publish")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command
      .add_option("--in-flight", run.in_flight,
                  "messages of a publisher without acknowledgement, at most; "
                  "fewer where they are large")
      ->capture_default_str()
      ->check(CLI::Range(1, 65'000));
}

void add_pipeline(CLI::App& command, Options& options) {
  PipelineRun& run = options.pipeline;
  add_bridge(command, options);
  add_store(command, options);
  add_put_threads(command, options);
  command
      .add_option("--rate", run.rate,
                  "messages per second, and measure latencies; 0: as fast as it goes")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
}

void add_line(CLI::App& command, Options& options) {
  command
      .add_option("--rtt", options.line.rtt_ms,
                  "milliseconds of a round trip between bridge and store")
      ->capture_default_str()
      ->check(CLI::Range(0, 10'000));
  command
      .add_option("--line", options.line.megabits,
                  "megabits a second towards the store, of all connections together; 0: no limit")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
}

void add_drain(CLI::App& command, Options& options) {
  options.sizes = {"20KiB"};
  options.pipeline.messages = 50'000;
  add_bridge(command, options);
  add_store(command, options);
  add_line(command, options);
  command
      .add_option("--live", options.live_rate,
                  "messages per second that are published while the backlog leaves, and measure "
                  "their latencies; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1000.0));
}

void add_start(CLI::App& command, Options& options) {
  options.sizes = {"1KiB"};
  options.pipeline.messages = 1'000'000;
  add_common(command, options);
  add_messages(command, options);
  add_daemon(command, options);
  command.add_flag("--cold", options.cold, "first drops the spool from the page cache");
}

void add_waiters(CLI::App& command, Options& options) {
  command.add_option("--waiters", options.waiters, "messages that wait for their commit at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
}

std::uint64_t parse_total(const std::string& text) { return parse_bytes(text, kMinFifoTotalBytes); }
std::uint64_t parse_queued(const std::string& text) { return parse_bytes(text, kMinQueuedBytes); }

void add_fifo(CLI::App& command, Options& options) {
  add_json(command, options);
  add_folder(command, options);
  add_waiters(command, options);
  command.add_option("--total", options.total, "bytes that go through, such as 100GiB")
      ->capture_default_str()
      ->check(accepted_by(parse_total));
  command
      .add_option("--queued", options.queued,
                  "bytes that are queued at once, at most; at least a quarter of it")
      ->capture_default_str()
      ->check(accepted_by(parse_queued));
}

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
  CLI::App& receive =
      *app.add_subcommand("receive", "broker to disk, through the daemon, with the store away");
  add_bridge(receive, options);
  receive
      .add_option("--sync-delay", options.sync_delay_ms,
                  "milliseconds that each sync of the disk takes longer, as on an SD card")
      ->capture_default_str()
      ->check(CLI::Range(0, 10'000));
  CLI::App& drain =
      *app.add_subcommand("drain", "a backlog to the store, through the daemon, over a bad line");
  Options draining = options;
  add_drain(drain, draining);
  CLI::App& start = *app.add_subcommand("start", "the daemon's start on a spool that is full");
  Options starting = options;
  add_start(start, starting);
  CLI::App& spool = *app.add_subcommand("spool", "messages to disk");
  add_common(spool, options);
  add_messages(spool, options);
  add_waiters(spool, options);
  CLI::App& fifo =
      *app.add_subcommand("fifo", "messages to disk and away again, the spool in long service");
  add_fifo(fifo, options);
  CLI::App& decode = *app.add_subcommand("decode", "messages to objects, on one thread");
  add_common(decode, options);
  decode.add_option("--seconds", options.decode_seconds, "of each size")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 3600.0));
  CLI::App& put = *app.add_subcommand("put", "objects into the store, without the daemon");
  add_common(put, options);
  add_messages(put, options);
  add_store(put, options);
  add_put_threads(put, options);
  options.line = {0, 0};  // put is as it was unless a line is asked for
  add_line(put, options);
  put.add_option("--batch", options.batch,
                 "objects in one request, each then asked for; into MinIO alone")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
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
  } else if (spool.parsed()) {
    const SpoolRun spool_run{run.folder, run.messages, options.waiters};
    report("spool", options, [&](std::size_t size) { return run_spool(spool_run, size, stop); });
  } else if (fifo.parsed()) {
    const FifoRun fifo_run{run.folder, parse_total(options.total), parse_queued(options.queued),
                           options.waiters};
    write("fifo", options, std::vector{run_fifo(fifo_run, stop)});
  } else if (decode.parsed()) {
    report("decode", options,
           [&](std::size_t size) { return run_decode(options.decode_seconds, size, stop); });
  } else {
    report("put", options, [&](std::size_t size) { return run_put(options, size, stop); });
  }
  return EX_OK;
}

}  // namespace
}  // namespace m2b::bench

int main(int argc, char** argv) {
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
