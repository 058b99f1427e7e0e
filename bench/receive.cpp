#include "bench/receive.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/bare_writes.hpp"
#include "bench/bridge.hpp"
#include "bench/broker.hpp"
#include "bench/latencies.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/publishers.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
constexpr std::chrono::milliseconds kPoll{20};
constexpr std::chrono::seconds kPatience{60};

/// strace delays the daemon's syncs, and stops it for no other call. A commit of LMDB has two: the
/// second is a write to a descriptor that was opened for that, which strace cannot tell from other
/// writes, so the first one takes the delay of both.
std::vector<std::string> delaying_prefix(std::chrono::milliseconds delay) {
  if (delay.count() == 0) return {};
  constexpr int kSyncsOfACommit = 2;
  return {find_program("strace", "install it, or leave --sync-delay out"),
          "-D",
          "-f",
          "--seccomp-bpf",
          "-qq",
          "-o",
          "/dev/null",
          "-e",
          "trace=fdatasync",
          "-e",
          fmt::format("inject=fdatasync:delay_exit={}",
                      std::chrono::microseconds(delay).count() * kSyncsOfACommit)};
}

void wait_until_received(Publishers& publishers, Bridge& bridge, ReceiveResult& result,
                         const std::stop_token& stop) {
  const Progress progress("received");
  std::size_t received = 0;
  bool published = false;
  auto last_news = Clock::now();
  while (received < result.messages || !published) {
    if (!sleep_for(kPoll, stop)) throw Interrupted();
    if (!published && publishers.ended()) {
      published = true;
      result.publish_seconds = Seconds(Clock::now() - publishers.begin()).count();
    }
    const std::size_t before = received;
    received = bridge.account().received;
    result.peak_private_bytes = std::max(result.peak_private_bytes, bridge.private_bytes());
    progress.show(received, result.messages);
    if (received != before || !published) last_news = Clock::now();
    if (Clock::now() - last_news > kPatience) {
      throw std::runtime_error(fmt::format("nothing was received for {} s; {} of {} are",
                                           kPatience.count(), received, result.messages));
    }
  }
  result.seconds = Seconds(Clock::now() - publishers.begin()).count();
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
    options.prefix = delaying_prefix(sync_delay);
    Bridge bridge(options, broker.address(), topic, run.qos, away, folder.path(), stop);
    Latencies none(run.messages);
    Publishers publishers(run, broker.address(), topic, picture_bytes, none, stop);
    const CpuTime before = bridge.cpu();
    publishers.start();
    wait_until_received(publishers, bridge, result, stop);
    result.bridge_cpu = bridge.cpu() - before;
  }
  const TemporaryFolder folder(run.folder);
  result.limit_seconds = bare_writes(folder.path(), picture_bytes, run.messages, stop) +
                         Seconds(sync_delay).count() * static_cast<double>(run.messages);
  return result;
}

}  // namespace m2b::bench
