#include "bench/pipeline.hpp"

#include <unistd.h>

#include <chrono>
#include <functional>

#include <fmt/format.h>

#include "bench/broker.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/publishers.hpp"
#include "bench/put_loop.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/timed_store.hpp"
#include "bench/watch.hpp"

namespace m2b::bench {
namespace {

constexpr std::chrono::milliseconds kPoll{20};
constexpr std::chrono::milliseconds kCalmPoll{200};  // with a rate the end needs no precision

/// What the four have used so far.
struct Usage {
  Usage(const Bridge& bridge_process, const Broker& broker_process, const Store& store_process)
      : bridge(bridge_process.cpu()),
        bench(cpu_time(::getpid())),
        broker(broker_process.cpu()),
        store(store_process.cpu()) {}

  CpuTime bridge;
  CpuTime bench;
  std::optional<CpuTime> broker;
  std::optional<CpuTime> store;
};

std::optional<CpuTime> difference(const std::optional<CpuTime>& after,
                                  const std::optional<CpuTime>& before) {
  if (!after || !before) return std::nullopt;
  return *after - *before;
}

/// Where a bridge is measured: a folder and a store anew.
struct Site {
  Site(const PipelineRun& run, const std::stop_token& stop)
      : folder(run.folder),
        latencies(run.messages),
        store(run.store, folder.path(), latencies, run.rate > 0, stop) {}

  TemporaryFolder folder;
  Latencies latencies;
  TimedStore store;
};

using MakeProgram = std::function<BridgeProgram(const BridgePlace& place)>;

/// A broker anew and the bridge; both have ended when this returns.
BridgeRun measure(const PipelineRun& run, const Picture& picture, const MakeProgram& make_program,
                  Site& site, const std::stop_token& stop) {
  const std::string topic = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
  const Broker broker(run.broker, site.folder.path(), stop);
  Bridge bridge(
      make_program({broker.address(), topic, run.qos, site.store.access(), site.folder.path()}),
      stop);
  Publishers publishers(run, broker.address(), topic, picture, site.latencies, stop);

  const Usage before(bridge, broker, site.store.store());
  publishers.start();
  const Watched seen = wait_for_all(
      publishers, bridge,
      {"stored", &Bridge::Account::stored, run.messages, run.rate > 0 ? kCalmPoll : kPoll}, stop);
  const Usage after(bridge, broker, site.store.store());
  BridgeRun result;
  result.stored = seen.count;
  result.publish_seconds = seen.publish_seconds;
  result.seconds = seen.seconds;
  constexpr double kMostOfIt = 0.9;
  result.publisher_limited = run.rate == 0 && result.publish_seconds > kMostOfIt * result.seconds;
  result.peak_private_bytes = seen.peak_private_bytes;
  result.bridge_cpu = after.bridge - before.bridge;
  result.bench_cpu = after.bench - before.bench;
  result.broker_cpu = difference(after.broker, before.broker);
  result.store_cpu = difference(after.store, before.store);
  if (run.rate > 0) result.latency = site.latencies.summary();
  return result;
}

}  // namespace

PipelineResult run_pipeline(const PipelineRun& run, std::size_t picture_bytes,
                            const std::stop_token& stop) {
  PipelineResult result;
  result.picture_bytes = picture_bytes;
  result.messages = run.messages;
  result.has_rate = run.rate > 0;
  const Picture picture(picture_bytes);
  Site site(run, stop);
  result.bridge = measure(
      run, picture, [&](const BridgePlace& place) { return daemon_program(run.bridge, place); },
      site, stop);

  const Progress progress("bare PUTs");
  result.limit_seconds =
      bare_puts(site.store.store().access(), picture, {run.messages, run.put_threads, 1}, stop);
  return result;
}

}  // namespace m2b::bench
