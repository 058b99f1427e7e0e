#include "bench/report.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "bench/sizes.hpp"

namespace m2b::bench {
namespace {

using Row = std::vector<std::string>;

std::string cpu_text(const std::optional<CpuTime>& time, std::size_t messages) {
  if (!time) return "-";
  const CpuTime each = per_thousand(*time, messages);
  return fmt::format("{:.2f}+{:.2f}", each.user, each.system);
}

std::string latency_text(const std::optional<LatencySummary>& latency) {
  if (!latency) return "-";
  return fmt::format("{:.1f}/{:.1f}/{:.1f}", latency->p50.count(), latency->p99.count(),
                     latency->max.count());
}

std::string share_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f}%", *share * 100) : "-";
}

std::string mebibytes_text(std::uint64_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20));
}

/// Columns to the right, as wide as their widest text.
std::string aligned(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += fmt::format("{}{:>{}}", i == 0 ? "" : "  ", row[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

std::string ratio_text(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:.2f}", *ratio) : "-";
}

Row growth_row(const std::string& what, const SoakResult::Growth& growth, double unit) {
  return {what, fmt::format("{:.1f}", growth.first / unit),
          fmt::format("{:.1f}", growth.last / unit), ratio_text(growth.ratio())};
}

Row peer_row(const std::string& name, const PipelineResult& result, const BridgeRun& run,
             const PeerRatios& ratios) {
  return {size_text(result.picture_bytes),
          name,
          fmt::format("{:.0f}", run.per_second()),
          ratio_text(ratios.messages),
          cpu_text(run.bridge_cpu, result.messages),
          ratio_text(ratios.cpu),
          mebibytes_text(run.peak_private_bytes),
          ratio_text(ratios.memory),
          latency_text(run.latency),
          ratio_text(ratios.p50),
          ratio_text(ratios.p99)};
}

/// Nothing where no peer was measured.
std::string peer_table(const std::vector<PipelineResult>& results) {
  std::vector<Row> rows{{"size", "bridge", "msg/s", "ratio", "CPU", "ratio", "peak MiB", "ratio",
                         "p50/p99/max ms", "p50 ratio", "p99 ratio"}};
  for (const PipelineResult& one : results) {
    if (one.peers.empty()) return {};
    rows.push_back(peer_row("ours", one, one.bridge, {}));
    for (const PeerRun& peer : one.peers) {
      rows.push_back(peer_row(peer.queue == PeerQueue::none ? "peer" : "peer, sqlite", one,
                              peer.run, one.ratios_to(peer.run)));
    }
  }
  return "\n" + aligned(rows) + "ratio: ours to the peer's\n";
}

Row refused_row(const RefusedResult& result, const RefusedSide& side) {
  const auto stored = [](const RefusedPhase& phase) {
    return fmt::format("{} of {}", phase.stored, phase.messages);
  };
  return {size_text(result.picture_bytes),
          fmt::format("{}", side.waiting),
          stored(side.fast),
          fmt::format("{:.1f}", side.fast.seconds),
          fmt::format("{:.0f}", side.fast.per_second()),
          fmt::format("{:.1f}", side.fast.refused_per_second),
          stored(side.paced),
          fmt::format("{:.1f}", side.paced.seconds),
          latency_text(side.paced.latency),
          fmt::format("{:.1f}", side.paced.refused_per_second),
          mebibytes_text(side.peak_private_bytes)};
}

}  // namespace

std::string table(const std::vector<PipelineResult>& results) {
  std::vector<Row> rows{{"size", "messages", "msg/s", "bare PUT/s", "ratio", "bridge CPU",
                         "broker CPU", "store CPU", "bench CPU", "peak MiB", "p50/p99/max ms"}};
  for (const PipelineResult& one : results) {
    const BridgeRun& bridge = one.bridge;
    rows.push_back(
        {size_text(one.picture_bytes), fmt::format("{}", bridge.stored),
         fmt::format("{:.0f}", bridge.per_second()), fmt::format("{:.0f}", one.limit_per_second()),
         ratio_text(one.ratio()), cpu_text(bridge.bridge_cpu, one.messages),
         cpu_text(bridge.broker_cpu, one.messages), cpu_text(bridge.store_cpu, one.messages),
         cpu_text(bridge.bench_cpu, one.messages), mebibytes_text(bridge.peak_private_bytes),
         latency_text(bridge.latency)});
  }
  std::string text =
      aligned(rows) + "CPU: user+system seconds per 1,000 messages; peak: the bridge's RssAnon\n";
  for (const PipelineResult& one : results) {
    if (one.bridge.answers_per_second) {
      text += fmt::format("{}: meanwhile the status listener gave {:.0f} answers a second\n",
                          size_text(one.picture_bytes), *one.bridge.answers_per_second);
    }
    if (one.bridge.publisher_limited) {
      text += fmt::format(
          "{}: publishing took nearly all of the time, so this may not be the bridge's limit; "
          "try more --publishers\n",
          size_text(one.picture_bytes));
    }
  }
  return text + peer_table(results);
}

std::string table(const std::vector<SoakResult>& results) {
  constexpr double kMebibyte = 1 << 20;
  std::string text;
  for (const SoakResult& result : results) {
    std::vector<Row> rows{{size_text(result.picture_bytes), "seconds", "stored", "msg/s",
                           "p50/p99/max ms", "CPU", "MiB", "handles", "threads", "spool MiB"}};
    for (const SoakRow& one : result.rows) {
      rows.push_back({fmt::format("{}", rows.size()), fmt::format("{:.1f}", one.end_seconds),
                      fmt::format("{}", one.stored), fmt::format("{:.1f}", one.per_second()),
                      latency_text(one.latency), share_text(one.processors()),
                      mebibytes_text(one.most.private_bytes),
                      fmt::format("{}", one.most.open_handles), fmt::format("{}", one.most.threads),
                      mebibytes_text(one.most.spool_file_bytes)});
    }
    text +=
        aligned(rows) + "\n" +
        aligned({{"mean of", "first third", "last third", "ratio"},
                 growth_row("MiB", result.growth(&Footprint::private_bytes), kMebibyte),
                 growth_row("handles", result.growth(&Footprint::open_handles), 1),
                 growth_row("threads", result.growth(&Footprint::threads), 1),
                 growth_row("spool MiB", result.growth(&Footprint::spool_file_bytes), kMebibyte)});
  }
  return text +
         "CPU: user+system of the bridge, of one processor; MiB: its RssAnon; from there on the "
         "most in that time\n";
}

std::string table(const std::vector<ReceiveResult>& results) {
  std::vector<Row> rows{
      {"size", "messages", "msg/s", "bare fdatasync/s", "ratio", "bridge CPU", "peak MiB"}};
  for (const ReceiveResult& one : results) {
    rows.push_back({size_text(one.picture_bytes), fmt::format("{}", one.messages),
                    fmt::format("{:.0f}", one.per_second()),
                    fmt::format("{:.0f}", one.limit_per_second()),
                    fmt::format("{:.2f}", one.ratio()), cpu_text(one.bridge_cpu, one.messages),
                    mebibytes_text(one.peak_private_bytes)});
  }
  return aligned(rows) +
         "CPU: user+system seconds per 1,000 messages; peak: the bridge's RssAnon\n";
}

std::string table(const std::vector<DrainResult>& results) {
  std::vector<Row> rows{{"size", "stored", "RTT ms", "Mbit/s", "reached s", "seconds", "objects/s",
                         "body MB/s", "line", "goodput", "bridge CPU", "line CPU", "store CPU",
                         "peak MiB", "live", "p50/p99/max ms"}};
  for (const DrainResult& one : results) {
    rows.push_back({size_text(one.picture_bytes), fmt::format("{}", one.stored),
                    fmt::format("{}", one.line.rtt_ms), fmt::format("{:g}", one.line.megabits),
                    fmt::format("{:.1f}", one.reached_seconds), fmt::format("{:.1f}", one.seconds),
                    fmt::format("{:.1f}", one.objects_per_second()),
                    fmt::format("{:.2f}", one.body_bytes_per_second() / 1e6),
                    share_text(one.line_share()), share_text(one.goodput_share()),
                    cpu_text(one.bridge_cpu, one.objects), cpu_text(one.line_cpu, one.objects),
                    cpu_text(one.store_cpu, one.objects), mebibytes_text(one.peak_private_bytes),
                    fmt::format("{}", one.live_stored), latency_text(one.live_latency)});
  }
  return aligned(rows) +
         "seconds: from the opening of the line until the backlog was gone; reached: until the "
         "bridge connected, the rates are without that\n"
         "line: bytes that crossed it, goodput: bytes of pictures, both of its rate; CPU: "
         "user+system seconds per 1,000 objects; peak: the bridge's RssAnon\n";
}

std::string table(const std::vector<StartResult>& results) {
  std::vector<Row> rows{
      {"size", "waiting", "spool GB", "page cache", "first upload s", "ready s", "peak MiB"}};
  for (const StartResult& one : results) {
    rows.push_back({size_text(one.picture_bytes), fmt::format("{}", one.messages),
                    fmt::format("{:.2f}", static_cast<double>(one.spool_bytes) / 1e9),
                    one.cold ? "cold" : "warm", fmt::format("{:.2f}", one.first_upload_seconds),
                    fmt::format("{:.2f}", one.ready_seconds),
                    mebibytes_text(one.peak_private_bytes)});
  }
  return aligned(rows) + "both from the start of the process; peak: the bridge's RssAnon\n";
}

std::string table(const std::vector<RefusedResult>& results) {
  std::vector<Row> rows{{"size", "refused", "stored", "seconds", "msg/s", "403/s", "at a rate",
                         "seconds", "p50/p99/max ms", "403/s", "peak MiB"}};
  std::string ratios;
  for (const RefusedResult& one : results) {
    rows.push_back(refused_row(one, one.without));
    rows.push_back(refused_row(one, one.with));
    ratios +=
        fmt::format("{}: with {} refused objects {} of the rate without them, {} of its p99\n",
                    size_text(one.picture_bytes), one.with.waiting, ratio_text(one.rate_ratio()),
                    ratio_text(one.p99_ratio()));
  }
  return aligned(rows) + ratios +
         "refused: objects that wait; 403/s: requests that the store refused meanwhile; peak: the "
         "bridge's RssAnon\n";
}

std::string table(const std::vector<SpoolResult>& results) {
  std::vector<Row> rows{{"size", "messages", "bare fdatasync/s", "one at a time/s", "ratio",
                         "at a time", "many at a time/s", "ratio"}};
  for (const SpoolResult& one : results) {
    const double limit = one.per_second(one.limit_seconds);
    const double single = one.per_second(one.one_seconds);
    const double many = one.per_second(one.many_seconds);
    rows.push_back({size_text(one.picture_bytes), fmt::format("{}", one.messages),
                    fmt::format("{:.0f}", limit), fmt::format("{:.0f}", single),
                    fmt::format("{:.2f}", single / limit), fmt::format("{}", one.waiters),
                    fmt::format("{:.0f}", many), fmt::format("{:.2f}", many / limit)});
  }
  return aligned(rows);
}

std::string table(const std::vector<FifoResult>& results) {
  std::string text;
  for (const FifoResult& result : results) {
    std::vector<Row> rows{{"tenth", "seconds", "MiB/s", "bare MiB/s", "ratio", "CPU s/GiB",
                           "queued MiB", "file MiB"}};
    for (const FifoTenth& one : result.tenths) {
      rows.push_back({fmt::format("{}", rows.size()), fmt::format("{:.1f}", one.seconds),
                      fmt::format("{:.1f}", one.bytes_per_second() / (1 << 20)),
                      fmt::format("{:.1f}", one.limit_bytes_per_second / (1 << 20)),
                      fmt::format("{:.2f}", one.ratio()),
                      fmt::format("{:.2f}", one.cpu_seconds_per_gib()),
                      mebibytes_text(one.peak_queued_bytes), mebibytes_text(one.file_bytes)});
    }
    text += aligned(rows) +
            fmt::format(
                "last to first tenth: speed {:.2f}, ratio {:.2f}; the file is {:.2f} of what "
                "was queued at once; {} messages came back as they were\n",
                result.last_to_first_speed(), result.last_to_first_ratio(), result.file_to_queued(),
                result.messages);
  }
  return text + "CPU: user+system; queued: the most in that tenth; file: at its end\n";
}

std::string table(const std::vector<StagesResult>& results) {
  std::vector<Row> rows{{"size", "stage", "us/message", "GB/s"}};
  for (const StagesResult& one : results) {
    for (const StageResult& stage : one.stages) {
      rows.push_back({size_text(one.picture_bytes), stage.name,
                      fmt::format("{:.1f}", stage.nanoseconds / 1e3),
                      stage.bytes > 0 ? fmt::format("{:.1f}", stage.gigabytes_per_second()) : "-"});
    }
  }
  return aligned(rows);
}

std::string table(const std::vector<PutResultRow>& results) {
  std::vector<Row> rows{
      {"size", "objects", "threads", "batch", "PUT/s", "MB/s", "store CPU", "bench CPU"}};
  for (const PutResultRow& one : results) {
    rows.push_back(
        {size_text(one.picture_bytes), fmt::format("{}", one.messages),
         fmt::format("{}", one.threads), fmt::format("{}", one.batch),
         fmt::format("{:.0f}", one.per_second()),
         fmt::format("{:.1f}", one.per_second() * static_cast<double>(one.picture_bytes) / 1e6),
         cpu_text(one.store_cpu, one.messages), cpu_text(one.bench_cpu, one.messages)});
  }
  return aligned(rows) + "PUT/s: objects; CPU: user+system seconds per 1,000 objects\n";
}

}  // namespace m2b::bench
