#include "bench/report.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "bench/sizes.hpp"

namespace m2b::bench {
namespace {

using Json = nlohmann::json;
using Row = std::vector<std::string>;

constexpr double kGibibyte = 1 << 30;

double rate(std::size_t count, double seconds) { return static_cast<double>(count) / seconds; }

CpuTime per_thousand(const CpuTime& time, std::size_t messages) {
  return time * (1000.0 / static_cast<double>(messages));
}

Json cpu_json(const std::optional<CpuTime>& time, std::size_t messages) {
  if (!time) return nullptr;
  const CpuTime each = per_thousand(*time, messages);
  return {{"user", each.user}, {"system", each.system}};
}

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

Json latency_json(const std::optional<LatencySummary>& latency) {
  if (!latency) return nullptr;
  return {{"p50_ms", latency->p50.count()},
          {"p99_ms", latency->p99.count()},
          {"max_ms", latency->max.count()},
          {"count", latency->count}};
}

template <class Number>
Json optional_json(const std::optional<Number>& number) {
  return number ? Json(*number) : Json();
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

}  // namespace

Json to_json(const PipelineResult& result) {
  return {{"size_bytes", result.picture_bytes},
          {"messages", result.messages},
          {"stored", result.stored},
          {"publish_seconds", result.publish_seconds},
          {"seconds", result.seconds},
          {"messages_per_second", result.per_second()},
          {"publisher_limited", result.publisher_limited},
          {"cpu_seconds_per_1000",
           {{"bridge", cpu_json(result.bridge_cpu, result.messages)},
            {"broker", cpu_json(result.broker_cpu, result.messages)},
            {"store", cpu_json(result.store_cpu, result.messages)},
            {"bench", cpu_json(result.bench_cpu, result.messages)}}},
          {"bridge_peak_private_bytes", result.peak_private_bytes},
          {"latency", latency_json(result.latency)},
          {"limit_puts_per_second", result.limit_per_second()},
          {"ratio_to_limit", optional_json(result.ratio())}};
}

Json to_json(const ReceiveResult& result) {
  return {{"size_bytes", result.picture_bytes},
          {"message_bytes", result.message_bytes},
          {"messages", result.messages},
          {"sync_delay_ms", result.sync_delay.count()},
          {"publish_seconds", result.publish_seconds},
          {"seconds", result.seconds},
          {"messages_per_second", result.per_second()},
          {"cpu_seconds_per_1000", {{"bridge", cpu_json(result.bridge_cpu, result.messages)}}},
          {"bridge_peak_private_bytes", result.peak_private_bytes},
          {"limit_writes_per_second", result.limit_per_second()},
          {"ratio_to_limit", result.ratio()}};
}

Json to_json(const DrainResult& result) {
  return {{"size_bytes", result.picture_bytes},
          {"messages", result.messages},
          {"stored", result.stored},
          {"rtt_ms", result.line.rtt_ms},
          {"line_megabits_per_second", result.line.megabits},
          {"uploaders", result.uploaders},
          {"fill_seconds", result.fill_seconds},
          {"seconds", result.seconds},
          {"reached_seconds", result.reached_seconds},
          {"objects", result.objects},
          {"objects_per_second", result.objects_per_second()},
          {"body_bytes_per_second", result.body_bytes_per_second()},
          {"line_bytes", result.line_bytes},
          {"line_bytes_per_second", result.line_bytes_per_second()},
          {"line_share", optional_json(result.line_share())},
          {"goodput_share", optional_json(result.goodput_share())},
          {"connections", result.connections},
          {"cpu_seconds_per_1000",
           {{"bridge", cpu_json(result.bridge_cpu, result.objects)},
            {"line", cpu_json(result.line_cpu, result.objects)},
            {"store", cpu_json(result.store_cpu, result.objects)}}},
          {"bridge_peak_private_bytes", result.peak_private_bytes},
          {"live",
           {{"messages_per_second", result.live_rate},
            {"published", result.live_published},
            {"stored", result.live_stored},
            {"latency", latency_json(result.live_latency)}}}};
}

Json to_json(const StartResult& result) {
  return {{"size_bytes", result.picture_bytes},
          {"messages", result.messages},
          {"cold", result.cold},
          {"fill_seconds", result.fill_seconds},
          {"spool_bytes", result.spool_bytes},
          {"first_upload_seconds", result.first_upload_seconds},
          {"ready_seconds", result.ready_seconds},
          {"bridge_peak_private_bytes", result.peak_private_bytes}};
}

Json to_json(const SpoolResult& result) {
  const double limit = rate(result.messages, result.limit_seconds);
  const auto appends = [&](double seconds) {
    const double each = rate(result.messages, seconds);
    return Json{
        {"seconds", seconds}, {"messages_per_second", each}, {"ratio_to_limit", each / limit}};
  };
  return {{"size_bytes", result.picture_bytes},
          {"message_bytes", result.message_bytes},
          {"messages", result.messages},
          {"waiters", result.waiters},
          {"one_at_a_time", appends(result.one_seconds)},
          {"many_at_a_time", appends(result.many_seconds)},
          {"limit_writes_per_second", limit}};
}

Json to_json(const FifoResult& result) {
  Json tenths = Json::array();
  for (const FifoTenth& one : result.tenths) {
    tenths.push_back({{"bytes", one.bytes},
                      {"seconds", one.seconds},
                      {"bytes_per_second", one.bytes_per_second()},
                      {"cpu_seconds_per_gib", one.cpu_seconds_per_byte() * kGibibyte},
                      {"peak_queued_bytes", one.peak_queued_bytes},
                      {"file_bytes", one.file_bytes}});
  }
  return {{"total_bytes", result.run.total_bytes},
          {"most_queued_bytes", result.run.most_queued_bytes},
          {"waiters", result.run.waiters},
          {"messages", result.messages},
          {"tenths", tenths},
          {"last_to_first_speed", result.last_to_first_speed()},
          {"peak_queued_bytes", result.peak_queued_bytes()},
          {"file_to_queued", result.file_to_queued()}};
}

Json to_json(const DecodeResult& result) {
  return {{"size_bytes", result.picture_bytes},
          {"message_bytes", result.message_bytes},
          {"messages", result.messages},
          {"seconds", result.seconds},
          {"nanoseconds_per_message", result.nanoseconds_per_message()},
          {"gigabytes_per_second", result.gigabytes_per_second()}};
}

Json to_json(const PutResultRow& result) {
  return {{"size_bytes", result.picture_bytes},
          {"messages", result.messages},
          {"threads", result.threads},
          {"batch", result.batch},
          {"seconds", result.seconds},
          {"cpu_seconds_per_1000",
           {{"store", cpu_json(result.store_cpu, result.messages)},
            {"bench", cpu_json(result.bench_cpu, result.messages)}}},
          {"puts_per_second", result.per_second()}};
}

std::string table(const std::vector<PipelineResult>& results) {
  std::vector<Row> rows{{"size", "messages", "msg/s", "bare PUT/s", "ratio", "bridge CPU",
                         "broker CPU", "store CPU", "bench CPU", "peak MiB", "p50/p99/max ms"}};
  for (const PipelineResult& one : results) {
    rows.push_back({size_text(one.picture_bytes), fmt::format("{}", one.stored),
                    fmt::format("{:.0f}", one.per_second()),
                    fmt::format("{:.0f}", one.limit_per_second()),
                    one.ratio() ? fmt::format("{:.2f}", *one.ratio()) : "-",
                    cpu_text(one.bridge_cpu, one.messages), cpu_text(one.broker_cpu, one.messages),
                    cpu_text(one.store_cpu, one.messages), cpu_text(one.bench_cpu, one.messages),
                    mebibytes_text(one.peak_private_bytes), latency_text(one.latency)});
  }
  std::string text =
      aligned(rows) + "CPU: user+system seconds per 1,000 messages; peak: the bridge's RssAnon\n";
  for (const PipelineResult& one : results) {
    if (one.publisher_limited) {
      text += fmt::format(
          "{}: publishing took nearly all of the time, so this may not be the bridge's limit; "
          "try more --publishers\n",
          size_text(one.picture_bytes));
    }
  }
  return text;
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

std::string table(const std::vector<SpoolResult>& results) {
  std::vector<Row> rows{{"size", "messages", "bare fdatasync/s", "one at a time/s", "ratio",
                         "at a time", "many at a time/s", "ratio"}};
  for (const SpoolResult& one : results) {
    const double limit = rate(one.messages, one.limit_seconds);
    const double single = rate(one.messages, one.one_seconds);
    const double many = rate(one.messages, one.many_seconds);
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
    std::vector<Row> rows{{"tenth", "seconds", "MiB/s", "CPU s/GiB", "queued MiB", "file MiB"}};
    for (const FifoTenth& one : result.tenths) {
      rows.push_back({fmt::format("{}", rows.size()), fmt::format("{:.1f}", one.seconds),
                      fmt::format("{:.1f}", one.bytes_per_second() / (1 << 20)),
                      fmt::format("{:.2f}", one.cpu_seconds_per_byte() * kGibibyte),
                      mebibytes_text(one.peak_queued_bytes), mebibytes_text(one.file_bytes)});
    }
    text += aligned(rows) +
            fmt::format(
                "the last tenth has {:.2f} of the first one's speed; the file is {:.2f} of "
                "what was queued at once; {} messages came back as they were\n",
                result.last_to_first_speed(), result.file_to_queued(), result.messages);
  }
  return text + "CPU: user+system; queued: the most in that tenth; file: at its end\n";
}

std::string table(const std::vector<DecodeResult>& results) {
  std::vector<Row> rows{{"size", "messages", "ns/message", "GB/s"}};
  for (const DecodeResult& one : results) {
    rows.push_back({size_text(one.picture_bytes), fmt::format("{}", one.messages),
                    fmt::format("{:.0f}", one.nanoseconds_per_message()),
                    fmt::format("{:.2f}", one.gigabytes_per_second())});
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
