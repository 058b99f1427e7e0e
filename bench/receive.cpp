#include "bench/receive.hpp"

#include <unistd.h>

#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/bare_writes.hpp"
#include "bench/bridge.hpp"
#include "bench/broker.hpp"
#include "bench/latencies.hpp"
#include "bench/pictures.hpp"
#include "bench/publishers.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/watch.hpp"

namespace m2b::bench {
namespace {

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
