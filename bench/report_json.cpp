#include "bench/report.hpp"

#include <cstddef>
#include <optional>
#include <utility>

namespace m2b::bench {
namespace {

using Json = nlohmann::json;

Json cpu_json(const std::optional<CpuTime>& time, std::size_t messages) {
  if (!time) return nullptr;
  const CpuTime each = per_thousand(*time, messages);
  return {{"user", each.user}, {"system", each.system}};
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

Json bridge_json(const BridgeRun& run, std::size_t messages) {
  return {{"stored", run.stored},
          {"publish_seconds", run.publish_seconds},
          {"seconds", run.seconds},
          {"messages_per_second", run.per_second()},
          {"publisher_limited", run.publisher_limited},
          {"cpu_seconds_per_1000",
           {{"bridge", cpu_json(run.bridge_cpu, messages)},
            {"broker", cpu_json(run.broker_cpu, messages)},
            {"store", cpu_json(run.store_cpu, messages)},
            {"bench", cpu_json(run.bench_cpu, messages)}}},
          {"bridge_peak_private_bytes", run.peak_private_bytes},
          {"latency", latency_json(run.latency)},
          {"answers_per_second", optional_json(run.answers_per_second)}};
}

Json ratios_json(const PeerRatios& ratios) {
  return {{"messages_per_second", optional_json(ratios.messages)},
          {"cpu", optional_json(ratios.cpu)},
          {"peak_private_bytes", optional_json(ratios.memory)},
          {"p50", optional_json(ratios.p50)},
          {"p99", optional_json(ratios.p99)}};
}

Json growth_json(const SoakResult::Growth& growth) {
  return {{"first", growth.first}, {"last", growth.last}, {"ratio", optional_json(growth.ratio())}};
}

Json phase_json(const RefusedPhase& phase) {
  return {{"messages", phase.messages},
          {"stored", phase.stored},
          {"seconds", phase.seconds},
          {"messages_per_second", phase.per_second()},
          {"refused_per_second", phase.refused_per_second},
          {"latency", latency_json(phase.latency)}};
}

Json side_json(const RefusedSide& side) {
  return {{"fill_seconds", side.fill_seconds},
          {"waiting", side.waiting},
          {"fast", phase_json(side.fast)},
          {"paced", phase_json(side.paced)},
          {"bridge_peak_private_bytes", side.peak_private_bytes}};
}

}  // namespace

Json to_json(const PipelineResult& result) {
  Json json = bridge_json(result.bridge, result.messages);
  Json peers = Json::object();
  for (const PeerRun& peer : result.peers) {
    Json one = bridge_json(peer.run, result.messages);
    one["ours_to_peer"] = ratios_json(result.ratios_to(peer.run));
    peers[to_string(peer.queue)] = std::move(one);
  }
  json.update({{"size_bytes", result.picture_bytes},
               {"messages", result.messages},
               {"peers", std::move(peers)},
               {"limit_puts_per_second", result.limit_per_second()},
               {"ratio_to_limit", optional_json(result.ratio())}});
  return json;
}

Json to_json(const SoakResult& result) {
  Json rows = Json::array();
  for (const SoakRow& one : result.rows) {
    rows.push_back({{"end_seconds", one.end_seconds},
                    {"seconds", one.seconds},
                    {"stored", one.stored},
                    {"messages_per_second", one.per_second()},
                    {"latency", latency_json(one.latency)},
                    {"bridge_processors", one.processors()},
                    {"bridge_private_bytes", one.most.private_bytes},
                    {"bridge_handles", one.most.open_handles},
                    {"bridge_threads", one.most.threads},
                    {"spool_file_bytes", one.most.spool_file_bytes}});
  }
  return {{"size_bytes", result.picture_bytes},
          {"rate", result.rate},
          {"minutes", result.minutes},
          {"messages", result.messages},
          {"stored", result.stored},
          {"rows", rows},
          {"growth",
           {{"bridge_private_bytes", growth_json(result.growth(&Footprint::private_bytes))},
            {"bridge_handles", growth_json(result.growth(&Footprint::open_handles))},
            {"bridge_threads", growth_json(result.growth(&Footprint::threads))},
            {"spool_file_bytes", growth_json(result.growth(&Footprint::spool_file_bytes))}}}};
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

Json to_json(const RefusedResult& result) {
  return {{"size_bytes", result.picture_bytes},
          {"rate", result.rate},
          {"without_refused", side_json(result.without)},
          {"with_refused", side_json(result.with)},
          {"ratio_messages_per_second", optional_json(result.rate_ratio())},
          {"ratio_p99", optional_json(result.p99_ratio())}};
}

Json to_json(const SpoolResult& result) {
  const double limit = result.per_second(result.limit_seconds);
  const auto appends = [&](double seconds) {
    const double each = result.per_second(seconds);
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
                      {"limit_bytes_per_second", one.limit_bytes_per_second},
                      {"ratio_to_limit", one.ratio()},
                      {"cpu_seconds_per_gib", one.cpu_seconds_per_gib()},
                      {"peak_queued_bytes", one.peak_queued_bytes},
                      {"file_bytes", one.file_bytes}});
  }
  return {{"total_bytes", result.run.total_bytes},
          {"most_queued_bytes", result.run.most_queued_bytes},
          {"waiters", result.run.waiters},
          {"messages", result.messages},
          {"tenths", tenths},
          {"last_to_first_speed", result.last_to_first_speed()},
          {"last_to_first_ratio", result.last_to_first_ratio()},
          {"peak_queued_bytes", result.peak_queued_bytes()},
          {"file_to_queued", result.file_to_queued()}};
}

Json to_json(const StagesResult& result) {
  Json stages = Json::array();
  for (const StageResult& stage : result.stages) {
    stages.push_back({{"name", stage.name},
                      {"nanoseconds_per_message", stage.nanoseconds},
                      {"bytes", stage.bytes},
                      {"messages", stage.messages}});
  }
  return {{"size_bytes", result.picture_bytes},
          {"message_bytes", result.message_bytes},
          {"stages", std::move(stages)}};
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

}  // namespace m2b::bench
