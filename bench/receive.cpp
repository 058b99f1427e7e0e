#include "bench/receive.hpp"

#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/bare_writes.hpp"
#include "bench/bridge.hpp"
#include "bench/broker.hpp"
#include "bench/latencies.hpp"
#include "bench/pictures.hpp"
#include "bench/process.hpp"
#include "bench/publishers.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/watch.hpp"

namespace m2b::bench {
namespace {

/// What makes a daemon's syncs slower (bench/slow_sync).
std::vector<std::string> delaying_settings(std::chrono::milliseconds delay) {
  if (delay.count() == 0) return {};
  const std::string library = beside_us("libmqtt-to-blob-slow-sync.so");
  if (!std::filesystem::exists(library)) {
    throw std::runtime_error(
        fmt::format("no file '{}': build the target mqtt-to-blob-slow-sync", library));
  }
  return {"LD_PRELOAD=" + library,
          fmt::format("SYNC_DELAY_US={}", std::chrono::microseconds(delay).count())};
}

}  // namespace

ReceiveResult run_receive(const PipelineRun& run, std::size_t picture_bytes,
                          std::chrono::milliseconds sync_delay, const std::stop_token& stop) {
  ReceiveResult result;
  result.picture_bytes = picture_bytes;
  result.message_bytes = Picture(picture_bytes).message_bytes();
  result.messages = run.messages;
  result.sync_delay = sync_delay;
  {
    const TemporaryFolder folder(run.folder);
    const std::string topic = fmt::format("mqtt-to-blob-bench/{}/picture", ::getpid());
    const StoreAccess away{{kLoopback, free_port()}, "nobody", "nothing", "bench"};
    const Broker broker(run.broker, folder.path(), stop);
    BridgeOptions options = run.bridge;
    for (std::string& setting : delaying_settings(sync_delay)) {
      options.settings.push_back(std::move(setting));
    }
    Bridge bridge(daemon_program(options, {broker.address(), topic, run.qos, away, folder.path()}),
                  stop);
    Latencies none(run.messages);
    Publishers publishers(run, broker.address(), topic, Picture(picture_bytes), none, stop);
    const CpuTime before = bridge.cpu();
    publishers.start();
    const Watched seen = wait_for_all(publishers, bridge,
                                      {"received", &Bridge::Account::received, run.messages}, stop);
    result.publish_seconds = seen.publish_seconds;
    result.seconds = seen.seconds;
    result.peak_private_bytes = seen.peak_private_bytes;
    result.bridge_cpu = bridge.cpu() - before;
  }
  const TemporaryFolder folder(run.folder);
  result.limit_seconds =
      bare_writes(folder.path(), picture_bytes, run.messages, stop) +
      std::chrono::duration<double>(sync_delay).count() * static_cast<double>(run.messages);
  return result;
}

}  // namespace m2b::bench
