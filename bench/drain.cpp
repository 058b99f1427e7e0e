#include "bench/drain.hpp"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "bench/bridge.hpp"
#include "bench/broker.hpp"
#include "bench/clock.hpp"
#include "bench/live_pictures.hpp"
#include "bench/object_list.hpp"
#include "bench/pictures.hpp"
#include "bench/publishers.hpp"
#include "bench/store.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/watch.hpp"

namespace m2b::bench {
namespace {

/// Short beside a round trip of such a line, and seldom enough not to be felt.
constexpr std::chrono::milliseconds kDrainPoll{50};
/// Live pictures: enough for any backlog, few enough to keep their times.
constexpr std::size_t kMostLive = 1'000'000;

/// What their ids begin with: no other run's, so that a store that is named may have those. With a
/// folder of its own for each kind, since MinIO goes through the whole folder to list a part of it.
std::string id_start(const char* kind) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format("bench-{}-{}-{}/", kind,
                     std::chrono::duration_cast<std::chrono::seconds>(now).count(), ::getpid());
}

double fill(const PipelineRun& run, const Broker& broker, const std::string& topic,
            const Picture& picture, Bridge& bridge, const std::stop_token& stop) {
  Latencies none(run.messages);
  Publishers publishers(run, broker.address(), topic, picture, none, stop);
  publishers.start();
  return wait_for_all(publishers, bridge, {"received", &Bridge::Account::received, run.messages},
                      stop)
      .seconds;
}

PipelineRun live_run(PipelineRun run, double rate) {
  run.publishers = 1;  // what was published is then 0, 1, 2, … without a gap
  run.rate = rate;
  run.messages = kMostLive;
  return run;
}

/// Until all has left, the backlog and the live ones. These come until as many have left as the
/// backlog had: some of both may be under way then, and no count tells which.
void drain(Line& line, Bridge& bridge, const Store& store, LivePictures* live, DrainResult& result,
           const std::stop_token& stop) {
  Watcher watcher(
      bridge, {"stored", &Bridge::Account::stored, result.messages, kDrainPoll, kDrainPoll}, stop);
  const CpuTime bridge_before = bridge.cpu();
  const CpuTime line_before = line.cpu();
  const std::optional<CpuTime> store_before = store.cpu();
  const auto opened = Clock::now();
  line.open();
  bool live_ones_come = false;
  const auto live_ones_left = [&] {
    if (live == nullptr) return true;
    if (!live_ones_come && line.traffic().first_connection) {
      live->start();
      live_ones_come = true;
    }
    live->look();
    if (watcher.count() >= result.messages) live->no_more();
    return live_ones_come && live->ended() &&
           watcher.count() >= result.messages + live->published();
  };
  do {
    watcher.look();
  } while (!live_ones_left() || watcher.count() < result.messages);
  const std::chrono::duration<double> taken = Clock::now() - opened;
  const Line::Traffic traffic = line.traffic();
  result.seconds = taken.count();
  result.reached_seconds =
      std::chrono::duration<double>(traffic.first_connection.value_or(opened) - opened).count();
  result.objects = watcher.count();
  result.line_bytes = traffic.bytes_to_store;
  result.connections = traffic.connections;
  result.bridge_cpu = bridge.cpu() - bridge_before;
  result.line_cpu = line.cpu() - line_before;
  if (store_before) result.store_cpu = *store.cpu() - *store_before;
  result.peak_private_bytes = watcher.peak_private_bytes();
  if (live != nullptr) {
    result.live_published = live->published();
    result.live_stored = live->stored();
    result.live_latency = live->latency();
  }
}

}  // namespace

DrainResult run_drain(const PipelineRun& run, const LineOptions& line_options, double live_rate,
                      std::size_t picture_bytes, const std::stop_token& stop) {
  DrainResult result;
  result.picture_bytes = picture_bytes;
  result.messages = run.messages;
  result.line = line_options;
  result.uploaders = run.bridge.uploaders;
  result.live_rate = live_rate;
  const bool keeps_objects = run.store.kind != "discard";
  if (live_rate > 0 && !keeps_objects) {
    throw std::invalid_argument(
        "--store 'discard' has no list in which --live pictures could be seen; give minio or "
        "http://host:port");
  }
  const TemporaryFolder folder(run.folder);
  const std::string topic = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
  const std::string backlog_start = id_start("backlog");
  const std::unique_ptr<Store> store = make_store(
      run.store, folder.path(), [](std::string_view) {}, stop);
  Line line(store->access().address, line_options);
  StoreAccess access = store->access();
  access.address = line.address();
  const Broker broker(run.broker, folder.path(), stop);
  Bridge bridge(
      daemon_program(run.bridge, {broker.address(), topic, run.qos, access, folder.path()}), stop);
  result.fill_seconds =
      fill(run, broker, topic, Picture(picture_bytes, backlog_start), bridge, stop);

  std::optional<LivePictures> live;
  const PipelineRun live_pictures = live_run(run, live_rate);
  if (live_rate > 0) {
    live.emplace(live_pictures, broker.address(), topic, picture_bytes, id_start("live"),
                 store->access(), stop);
  }
  drain(line, bridge, *store, live ? &*live : nullptr, result, stop);
  result.stored =
      keeps_objects ? ObjectList(store->access()).keys(backlog_start).size() : result.objects;
  return result;
}

}  // namespace m2b::bench
