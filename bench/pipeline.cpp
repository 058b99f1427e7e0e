#include "bench/pipeline.hpp"

#include <unistd.h>

#include <chrono>
#include <functional>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/broker.hpp"
#include "bench/object_list.hpp"
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
  const BridgeProgram program =
      make_program({broker.address(), topic, run.qos, site.store.access(), site.folder.path()});
  Bridge bridge(program, stop);
  Publishers publishers(run, broker.address(), topic, picture, site.latencies, stop);

  const Askers askers(run.ask, program.status);
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
  if (run.ask.connections > 0) {
    result.answers_per_second = static_cast<double>(askers.answers()) / seen.seconds;
  }
  if (run.rate > 0) result.latency = site.latencies.summary();
  return result;
}

/// The daemon between two halves of the bare PUTs, whose time is added up.
void measure_bridge(const PipelineRun& run, const Picture& picture, PipelineResult& result,
                    const std::stop_token& stop) {
  Site site(run, stop);
  const auto program = [&](const BridgePlace& place) { return daemon_program(run.bridge, place); };
  const auto put_bare = [&](std::size_t first, std::size_t count) {
    const Progress progress("bare PUTs");
    const PutRun puts{.count = count, .threads = run.put_threads, .first = first};
    result.limit_seconds += bare_puts(site.store.store().access(), picture, puts, stop);
  };
  const std::size_t half = run.messages / 2;
  put_bare(0, half);
  result.bridge = measure(run, picture, program, site, stop);
  put_bare(half, run.messages - half);
}

/// The peer's own word for how many it has stored is not relied upon.
void expect_all_stored(const PipelineRun& run, const Site& site) {
  const Store& store = site.store.store();
  const std::size_t stored = store.tells_answers()
                                 ? site.latencies.summary().value_or(LatencySummary()).count
                                 : ObjectList(store.access()).keys(kIdStart).size();
  if (stored < run.messages) {
    throw std::runtime_error(fmt::format(
        "the peer says that all is stored, but the store has {} of {}", stored, run.messages));
  }
}

PeerRun measure_peer(PipelineRun run, const Picture& picture, PeerQueue queue,
                     const std::stop_token& stop) {
  // Its objects have the same keys, and shall not replace the daemon's.
  run.store.bucket += fmt::format("-peer-{}", to_string(queue));
  Site site(run, stop);
  const StoreAccess& access = site.store.store().access();
  if (access.is_signed) make_bucket(access, stop);
  const auto program = [&](const BridgePlace& place) {
    return peer_program(run.peer, queue, picture.decoded().size(), place);
  };
  PeerRun result{queue, measure(run, picture, program, site, stop)};
  expect_all_stored(run, site);
  return result;
}

}  // namespace

PeerRatios PipelineResult::ratios_to(const BridgeRun& peer) const {
  PeerRatios ratios;
  if (!has_rate) ratios.messages = bridge.per_second() / peer.per_second();
  ratios.cpu = bridge.bridge_cpu.total() / peer.bridge_cpu.total();
  ratios.memory =
      static_cast<double>(bridge.peak_private_bytes) / static_cast<double>(peer.peak_private_bytes);
  if (bridge.latency && peer.latency) {
    ratios.p50 = bridge.latency->p50 / peer.latency->p50;
    ratios.p99 = bridge.latency->p99 / peer.latency->p99;
  }
  return ratios;
}

PipelineResult run_pipeline(const PipelineRun& run, std::size_t picture_bytes,
                            const std::stop_token& stop) {
  PipelineResult result;
  result.picture_bytes = picture_bytes;
  result.messages = run.messages;
  result.has_rate = run.rate > 0;
  const bool has_peer = !run.peer.program.empty();
  if (has_peer) check_peer(run.peer, picture_bytes);
  const Picture picture(picture_bytes);
  measure_bridge(run, picture, result, stop);
  if (has_peer) {
    for (const PeerQueue queue : {PeerQueue::none, PeerQueue::sqlite}) {
      result.peers.push_back(measure_peer(run, picture, queue, stop));
    }
  }
  return result;
}

}  // namespace m2b::bench
