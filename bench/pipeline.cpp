#include "bench/pipeline.hpp"

#include <unistd.h>

#include <chrono>

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

/// The measured part: with a bridge that ends before the limit is measured.
void measure_bridge(const PipelineRun& run, const TimedStore& store, Latencies& latencies,
                    const std::filesystem::path& folder, PipelineResult& result,
                    const std::stop_token& stop) {
  const std::string topic = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
  const Broker broker(run.broker, folder, stop);
  Bridge bridge(run.bridge, broker.address(), topic, run.qos, store.access(), folder, stop);
  Publishers publishers(run, broker.address(), topic, Picture(result.picture_bytes), latencies,
                        stop);

  const Usage before(bridge, broker, store.store());
  publishers.start();
  const Watched seen = wait_for_all(
      publishers, bridge,
      {"stored", &Bridge::Account::stored, run.messages, run.rate > 0 ? kCalmPoll : kPoll}, stop);
  const Usage after(bridge, broker, store.store());
  result.stored = seen.count;
  result.publish_seconds = seen.publish_seconds;
  result.seconds = seen.seconds;
  result.peak_private_bytes = seen.peak_private_bytes;
  result.bridge_cpu = after.bridge - before.bridge;
  result.bench_cpu = after.bench - before.bench;
  result.broker_cpu = difference(after.broker, before.broker);
  result.store_cpu = difference(after.store, before.store);
}

}  // namespace

PipelineResult run_pipeline(const PipelineRun& run, std::size_t picture_bytes,
                            const std::stop_token& stop) {
  PipelineResult result;
  result.picture_bytes = picture_bytes;
  result.messages = run.messages;
  result.has_rate = run.rate > 0;
  const TemporaryFolder folder(run.folder);
  Latencies latencies(run.messages);
  const TimedStore store(run.store, folder.path(), latencies, run.rate > 0, stop);
  measure_bridge(run, store, latencies, folder.path(), result, stop);
  constexpr double kMostOfIt = 0.9;
  result.publisher_limited = run.rate == 0 && result.publish_seconds > kMostOfIt * result.seconds;
  if (run.rate > 0) result.latency = latencies.summary();

  const Progress progress("bare PUTs");
  result.limit_seconds = bare_puts(store.store().access(), Picture(picture_bytes),
                                   {run.messages, run.put_threads, 1}, stop);
  return result;
}

}  // namespace m2b::bench
