#include "bench/refused_bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "bench/bridge.hpp"
#include "bench/broker.hpp"
#include "bench/clock.hpp"
#include "bench/discard_store.hpp"
#include "bench/pictures.hpp"
#include "bench/publishers.hpp"
#include "bench/sockets.hpp"
#include "bench/stop.hpp"
#include "bench/store.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/watch.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

/// The same in both runs, whatever is stored, since each answer costs the daemon time.
constexpr std::chrono::milliseconds kRefusedPoll{50};
/// Until the store has refused one.
constexpr std::chrono::seconds kFirstRefusal{60};
constexpr std::string_view kRefusedStart = "refused/";

/// A store that discards, and may refuse the objects of kRefusedStart.
class RefusingStore {
 public:
  RefusingStore(Latencies& latencies, bool refuses)
      : store_([&latencies](std::string_view request) { latencies.answered(request); },
               [this, refuses](std::string_view request) { return refuses && refuse(request); }) {}

  [[nodiscard]] std::uint16_t port() const noexcept { return store_.port(); }
  /// Requests so far.
  [[nodiscard]] std::size_t refused() const noexcept { return refused_; }

 private:
  bool refuse(std::string_view request) {
    const std::string_view line = request.substr(0, request.find('\r'));
    if (line.find(fmt::format("/{}", kRefusedStart)) == std::string_view::npos) return false;
    ++refused_;
    return true;
  }

  std::atomic<std::size_t> refused_ = 0;
  DiscardStore store_;  // last: its threads count
};

/// A daemon and what it stands between.
class RefusedSite {
 public:
  RefusedSite(const PipelineRun& run, std::size_t messages, bool refuses,
              const std::stop_token& stop)
      : stop_(stop),
        folder_(run.folder),
        latencies_(messages),
        store_(latencies_, refuses),
        broker_(run.broker, folder_.path(), stop),
        bridge_(daemon_program(run.bridge, place(run)), stop) {}

  /// Publishes messages of the prefix that may be refused, until `watch` has counted them all.
  /// Returns the seconds it took.
  double fill(const PipelineRun& run, std::size_t picture_bytes, const Watch& watch) {
    Latencies none(0);
    Publishers publishers(run, broker_.address(), topic_, Picture(picture_bytes, kRefusedStart),
                          none, stop_);
    publishers.start();
    return wait_for_all(publishers, bridge_, watch, stop_).seconds;
  }

  /// Throws if the daemon uploads none of the objects that the store refuses.
  void wait_for_refusal() const;
  /// Publishes messages of other keys and measures until all are stored or the time is over.
  RefusedPhase measure(const PipelineRun& run, const Picture& picture, double limit_seconds);

  [[nodiscard]] std::size_t waiting() {
    const Bridge::Account account = bridge_.account();
    return account.received - account.stored - account.lost;
  }
  /// In all phases.
  [[nodiscard]] std::uint64_t peak_private_bytes() const noexcept { return peak_private_bytes_; }

 private:
  [[nodiscard]] BridgePlace place(const PipelineRun& run) const {
    return {broker_.address(),
            topic_,
            run.qos,
            {{kLoopback, store_.port()}, "bench", "bench-secret", run.store.bucket, false},
            folder_.path()};
  }

  const std::stop_token stop_;
  const std::string topic_ = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
  TemporaryFolder folder_;
  Latencies latencies_;
  RefusingStore store_;
  Broker broker_;
  Bridge bridge_;
  std::uint64_t peak_private_bytes_ = 0;
};

void RefusedSite::wait_for_refusal() const {
  const auto begin = Clock::now();
  while (store_.refused() == 0) {
    if (Clock::now() - begin > kFirstRefusal) {
      throw std::runtime_error(
          fmt::format("the bridge uploaded none of the objects that the store refuses for {} s",
                      kFirstRefusal.count()));
    }
    if (!sleep_for(kRefusedPoll, stop_)) throw Interrupted();
  }
}

RefusedPhase RefusedSite::measure(const PipelineRun& run, const Picture& picture,
                                  double limit_seconds) {
  RefusedPhase phase;
  phase.messages = run.messages;
  if (run.rate > 0) limit_seconds += static_cast<double>(run.messages) / run.rate;
  Publishers publishers(run, broker_.address(), topic_, picture, latencies_, stop_);
  Watcher watcher(bridge_,
                  {"stored", &Bridge::Account::stored, bridge_.account().stored + run.messages,
                   kRefusedPoll, kRefusedPoll},
                  stop_);
  const std::size_t refused_before = store_.refused();
  publishers.start();
  double seconds = 0;
  bool published = false;
  while (seconds < limit_seconds && !(published && phase.is_complete())) {
    watcher.look(true);
    published = publishers.ended();
    phase.latency = latencies_.summary(run.first, run.first + run.messages);
    phase.stored = phase.latency ? phase.latency->count : 0;
    seconds = seconds_since(publishers.begin());
  }
  phase.seconds = phase.is_complete() ? phase.latency->seconds : seconds;
  phase.refused_per_second = static_cast<double>(store_.refused() - refused_before) / seconds;
  peak_private_bytes_ = std::max(peak_private_bytes_, watcher.peak_private_bytes());
  return phase;
}

RefusedSide measure_refused_side(const PipelineRun& run, const RefusedOptions& options,
                                 std::size_t picture_bytes, bool refuses,
                                 const std::stop_token& stop) {
  PipelineRun refused = run;
  refused.messages = options.objects;
  refused.rate = 0;
  PipelineRun fast = run;
  fast.rate = 0;
  PipelineRun paced = run;
  paced.first = run.messages;
  paced.messages = std::max<std::size_t>(1, std::llround(run.rate * options.rate_seconds));

  RefusedSite site(run, fast.messages + paced.messages, refuses, stop);
  RefusedSide side;
  side.fill_seconds =
      site.fill(refused, picture_bytes,
                {refuses ? "received" : "stored",
                 refuses ? &Bridge::Account::received : &Bridge::Account::stored, options.objects});
  if (refuses) site.wait_for_refusal();
  side.waiting = site.waiting();
  const Picture picture(picture_bytes);
  side.fast = site.measure(fast, picture, options.limit_seconds);
  side.paced = site.measure(paced, picture, options.limit_seconds);
  side.peak_private_bytes = site.peak_private_bytes();
  return side;
}

}  // namespace

std::optional<double> RefusedResult::rate_ratio() const {
  if (without.fast.stored == 0) return std::nullopt;
  return with.fast.per_second() / without.fast.per_second();
}

std::optional<double> RefusedResult::p99_ratio() const {
  if (!without.paced.is_complete() || !with.paced.is_complete()) return std::nullopt;
  return with.paced.latency->p99 / without.paced.latency->p99;
}

RefusedResult run_refused(const PipelineRun& run, const RefusedOptions& options,
                          std::size_t picture_bytes, const std::stop_token& stop) {
  RefusedResult result;
  result.picture_bytes = picture_bytes;
  result.rate = run.rate;
  result.without = measure_refused_side(run, options, picture_bytes, false, stop);
  result.with = measure_refused_side(run, options, picture_bytes, true, stop);
  return result;
}

}  // namespace m2b::bench
