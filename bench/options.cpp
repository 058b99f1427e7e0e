#include "bench/options.hpp"

#include <cstdint>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/sizes.hpp"

namespace m2b::bench {
namespace {

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

void add_peer(CLI::App& command, PeerOptions& peer) {
  command.add_option("--peer", peer.program,
                     "the program of scripts/peer: then the peer is measured as well");
  command.add_option("--peer-in-flight", peer.in_flight, "uploads of the peer at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
}

void add_askers(CLI::App& command, AskOptions& ask) {
  CLI::Option* const askers =
      command
          .add_option("--askers", ask.connections,
                      "connections that ask the daemon's status listener meanwhile, without pause")
          ->capture_default_str()
          ->check(CLI::Range(0, 1000))
          ->excludes("--peer");
  command.add_option("--asked", ask.path, "what they ask for")
      ->capture_default_str()
      ->needs(askers);
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

void add_waiters(CLI::App& command, Options& options) {
  command.add_option("--waiters", options.waiters, "messages that wait for their commit at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
}

std::uint64_t parse_total(const std::string& text) { return parse_bytes(text, kMinFifoTotalBytes); }
std::uint64_t parse_queued(const std::string& text) { return parse_bytes(text, kMinQueuedBytes); }

}  // namespace

void add_pipeline(CLI::App& command, Options& options) {
  PipelineRun& run = options.pipeline;
  add_bridge(command, options);
  add_messages(command, options);
  add_store(command, options);
  add_put_threads(command, options);
  command
      .add_option("--rate", run.rate,
                  "messages per second, and measure latencies; 0: as fast as it goes")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
  add_peer(command, run.peer);
  add_askers(command, run.ask);
}

void add_soak(CLI::App& command, Options& options) {
  PipelineRun& run = options.pipeline;
  run.rate = 50;
  add_bridge(command, options);
  add_folder(command, options);
  add_store(command, options);
  command.add_option("--rate", run.rate, "messages per second")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1e6));
  command.add_option("--minutes", options.minutes, "how long pictures are published")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1e6));
}

void add_receive(CLI::App& command, Options& options) {
  add_bridge(command, options);
  add_messages(command, options);
  command
      .add_option("--sync-delay", options.sync_delay_ms,
                  "milliseconds that each sync of the disk takes longer, as on an SD card")
      ->capture_default_str()
      ->check(CLI::Range(0, 10'000));
}

void add_drain(CLI::App& command, Options& options) {
  options.sizes = {"20KiB"};
  options.pipeline.messages = 50'000;
  add_bridge(command, options);
  add_messages(command, options);
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

void add_refused(CLI::App& command, Options& options) {
  PipelineRun& run = options.pipeline;
  RefusedOptions& refused = options.refused;
  run.messages = 10'000;
  run.rate = 200;
  add_bridge(command, options);
  add_messages(command, options);
  command
      .add_option("--refused", refused.objects,
                  "refused objects that wait while others are measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));
  command.add_option("--rate", run.rate, "messages per second of the second phase")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 1e4));
  command.add_option("--seconds", refused.rate_seconds, "how long the second phase publishes")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  command
      .add_option("--limit", refused.limit_seconds,
                  "seconds after which the bench gives up on messages that are not stored")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 3600.0));
}

void add_spool(CLI::App& command, Options& options) {
  add_common(command, options);
  add_messages(command, options);
  add_waiters(command, options);
}

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

void add_stages(CLI::App& command, Options& options) {
  add_common(command, options);
  command.add_option("--seconds", options.stage_seconds, "of each stage and size")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 3600.0));
}

void add_put(CLI::App& command, Options& options) {
  add_common(command, options);
  add_messages(command, options);
  add_store(command, options);
  add_put_threads(command, options);
  options.line = {0, 0};  // put is as it was unless a line is asked for
  add_line(command, options);
  command
      .add_option("--batch", options.batch,
                  "objects in one request, each then asked for; into MinIO alone")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
}

FifoRun fifo_run(const Options& options) {
  return {options.pipeline.folder, parse_total(options.total), parse_queued(options.queued),
          options.waiters};
}

}  // namespace m2b::bench
