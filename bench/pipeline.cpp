#include "bench/pipeline.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/broker.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/publisher.hpp"
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
/// Of one publisher without acknowledgement. Paho's thread sleeps for up to a second when a socket
/// takes no more (it then waits for input alone, seen in 1.3.12), so the socket's buffer, of 4 MiB
/// at most, must never be full.
constexpr std::size_t kMaxBytesInFlight = std::size_t{5} << 19;

/// Publishes from several connections at a time, each in a thread of its own.
class Publishers {
 public:
  Publishers(const PipelineRun& run, const Address& broker, const std::string& topic,
             std::size_t picture_bytes, Latencies& latencies, const std::stop_token& stop)
      : run_(run),
        latencies_(latencies),
        picture_(picture_bytes),
        stop_with_all_(stop, [this] { stop_.request_stop(); }) {
    const std::size_t in_flight =
        std::clamp<std::size_t>(kMaxBytesInFlight / picture_.message_bytes(), 1, run.in_flight);
    for (unsigned i = 0; i < run.publishers; ++i) {
      const std::string client = fmt::format("mqtt-to-blob-bench-{}-{}", ::getpid(), i);
      publishers_.push_back(std::make_unique<Publisher>(
          Publisher::Options{broker, client, topic, run.qos, in_flight}, stop_.get_token()));
    }
  }

  /// What is not published yet never will be.
  ~Publishers() { stop_.request_stop(); }
  Publishers(const Publishers&) = delete;
  Publishers& operator=(const Publishers&) = delete;

  void start() {
    begin_ = Clock::now();
    for (auto& publisher : publishers_) {
      threads_.push_back(
          std::async(std::launch::async, [this, &publisher] { publish_all(*publisher); }));
    }
  }

  /// Throws what one of them threw; true when all have ended.
  [[nodiscard]] bool ended() {
    return std::all_of(threads_.begin(), threads_.end(), [](std::future<void>& thread) {
      if (!thread.valid()) return true;
      if (thread.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
      thread.get();
      return true;
    });
  }

  [[nodiscard]] Clock::time_point begin() const noexcept { return begin_; }

 private:
  void publish_all(Publisher& publisher) {
    Picture picture = picture_;
    for (std::size_t number = next_++; number < run_.messages; number = next_++) {
      if (run_.rate > 0) {
        const auto at = begin_ + Seconds(static_cast<double>(number) / run_.rate);
        if (!sleep_for(at - Clock::now(), stop_.get_token())) throw Interrupted();
      }
      latencies_.published(number);
      publisher.publish(picture.message(number));
    }
    publisher.wait_until_acknowledged();
  }

  const PipelineRun& run_;
  Latencies& latencies_;
  const Picture picture_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> stop_with_all_;
  std::atomic<std::size_t> next_ = 0;
  Clock::time_point begin_;
  std::vector<std::unique_ptr<Publisher>> publishers_;
  std::vector<std::future<void>> threads_;  // last: they use all of the above
};

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
