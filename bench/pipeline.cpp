#include "bench/pipeline.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/broker.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/publishers.hpp"
#include "bench/put_loop.hpp"
#include "bench/relay.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
constexpr std::chrono::milliseconds kPoll{20};
/// With a rate the end needs no such precision, and a poll costs the bridge a quarter of a
/// millisecond, which would be felt beside few messages.
constexpr std::chrono::milliseconds kCalmPoll{200};
constexpr std::chrono::seconds kPatience{60};
/// Waits until the bridge has stored all that the publishers send, and looks at its memory.
void wait_until_stored(Publishers& publishers, Bridge& bridge, const PipelineRun& run,
                       PipelineResult& result, const std::stop_token& stop) {
  const Progress progress("stored");
  auto last_news = Clock::now();
  bool published = false;
  while (result.stored < run.messages || !published) {
    if (!sleep_for(run.rate > 0 ? kCalmPoll : kPoll, stop)) throw Interrupted();
    if (!published && publishers.ended()) {
      published = true;
      result.publish_seconds = Seconds(Clock::now() - publishers.begin()).count();
    }
    const Bridge::Account account = bridge.account();
    if (account.lost > 0) {
      throw std::runtime_error(fmt::format("{} messages did not become objects", account.lost));
    }
    if (account.stored != result.stored || !published) last_news = Clock::now();
    result.stored = account.stored;
    result.peak_private_bytes = std::max(result.peak_private_bytes, bridge.private_bytes());
    progress.show(result.stored, run.messages);
    if (Clock::now() - last_news > kPatience) {
      throw std::runtime_error(fmt::format("nothing was stored for {} s; {} of {} are",
                                           kPatience.count(), result.stored, run.messages));
    }
  }
  result.seconds = Seconds(Clock::now() - publishers.begin()).count();
}

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
void measure_bridge(const PipelineRun& run, const Store& store, const StoreAccess& access,
                    Latencies& latencies, const std::filesystem::path& folder,
                    PipelineResult& result, const std::stop_token& stop) {
  const std::string topic = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
  const Broker broker(run.broker, folder, stop);
  Bridge bridge(run.bridge, broker.address(), topic, run.qos, access, folder, stop);
  Publishers publishers(run, broker.address(), topic, result.picture_bytes, latencies, stop);

  const Usage before(bridge, broker, store);
  publishers.start();
  wait_until_stored(publishers, bridge, run, result, stop);
  const Usage after(bridge, broker, store);
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
  const AnswerListener on_answer = [&](std::string_view request) { latencies.answered(request); };
  const std::unique_ptr<Store> store = make_store(run.store, folder.path(), on_answer, stop);

  StoreAccess access = store->access();
  std::optional<Relay> relay;
  if (run.rate > 0 && !store->tells_answers()) {
    relay.emplace(access.address, on_answer);
    access.address = {kLoopback, relay->port()};
  }
  measure_bridge(run, *store, access, latencies, folder.path(), result, stop);
  constexpr double kMostOfIt = 0.9;
  result.publisher_limited = run.rate == 0 && result.publish_seconds > kMostOfIt * result.seconds;
  if (run.rate > 0) result.latency = latencies.summary();

  const Progress progress("bare PUTs");
  result.limit_seconds =
      bare_puts(store->access(), Picture(picture_bytes), run.messages, run.put_threads, stop);
  return result;
}

}  // namespace m2b::bench
