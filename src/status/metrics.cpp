#include "status/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m2b/util/log.hpp"
#include "status/process_usage.hpp"
#include "status/snapshot.hpp"
#include "status/warning_ids.hpp"

namespace m2b {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// Builds the list of families; one call a metric.
class Families {
 public:
  /// A metric with several label sets: samples follow by add().
  Families& family(const char* name, const char* help, MetricType type) {
    families_.push_back({std::string("mqtt_to_blob_") + name, help, type, {}});
    return *this;
  }

  /// One sample of a metric that is not ours by name.
  void process_family(const char* name, const char* help, MetricType type, double value) {
    families_.push_back({name, help, type, {}});
    add(value);
  }

  Families& add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }
  Families& add(std::uint64_t value, Labels labels = {}) {
    return add(static_cast<double>(value), std::move(labels));
  }

  void counter(const char* name, const char* help, std::uint64_t value) {
    family(name, help, MetricType::Counter).add(value);
  }
  void gauge(const char* name, const char* help, double value) {
    family(name, help, MetricType::Gauge).add(value);
  }

  void histogram(const char* name, const char* help, const DurationHistogram& durations) {
    family(name, help, MetricType::Histogram);
    const DurationHistogram::Snapshot snapshot = durations.snapshot();
    ClientMetric metric;
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < snapshot.counts.size(); ++i) {
      cumulative += snapshot.counts[i];
      const double bound = i < DurationHistogram::kBounds.size()
                               ? DurationHistogram::kBounds[i]
                               : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({cumulative, bound});
    }
    metric.histogram.sample_count = cumulative;
    metric.histogram.sample_sum = snapshot.sum_seconds;
    families_.back().metric.push_back(std::move(metric));
  }

  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  std::vector<MetricFamily> families_;
};

const char* label_of(StoreState state) noexcept { return to_string(state); }
std::string label_of(Health health) { return std::string(to_string(health)); }

/// One sample for each state, 1 for the one that holds.
template <class State, std::size_t count>
void add_states(Families& families, const char* name, const char* help,
                const std::array<State, count>& states, State now) {
  families.family(name, help, MetricType::Gauge);
  for (const State state : states) {
    families.add(state == now ? 1.0 : 0.0, {{"state", label_of(state)}});
  }
}

/// Seconds since 1970, as Prometheus has times; 0 where there is none.
double timestamp(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

void add_filters(Families& families, const ReceiverStats& stats) {
  using State = FilterStatus::State;
  const std::vector<FilterStatus> filters = stats.filters();
  families.family("broker_topic_filters",
                  "Topic filters by what the broker last said to them: pending (nothing yet), "
                  "granted, refused, disconnected (it ended the connection instead), no_answer.",
                  MetricType::Gauge);
  for (const State state :
       {State::pending, State::granted, State::refused, State::disconnected, State::no_answer}) {
    families.add(
        static_cast<std::uint64_t>(std::ranges::count(filters, state, &FilterStatus::state)),
        {{"state", std::string(to_string(state))}});
  }
  families.gauge(
      "broker_topic_filters_unguaranteed",
      "Topic filters for which the broker granted QoS 0 although MQTT_QOS asks for "
      "more: it may lose their messages.",
      static_cast<double>(std::ranges::count_if(filters, &FilterStatus::is_unguaranteed)));
  families
      .family("broker_subscribe_failures_total",
              "SUBSCRIBEs that failed: refused, disconnected (the broker ended the connection "
              "instead), no_answer.",
              MetricType::Counter)
      .add(stats.subscribes_refused.load(), {{"result", "refused"}})
      .add(stats.subscribes_disconnected.load(), {{"result", "disconnected"}})
      .add(stats.subscribes_unanswered.load(), {{"result", "no_answer"}});
}

/// What the status page shows, so that alerts and page never differ.
void add_health(Families& families, const Diagnosis& diagnosis) {
  add_states(families, "health_state",
             "1 for the state that the status page shows; trouble: pictures do not get through.",
             std::array{Health::well, Health::attention, Health::trouble}, diagnosis.state);
  families.family("warning", "1 while the status page shows a warning of that id.",
                  MetricType::Gauge);
  for (const std::string_view id : kWarningIds) {
    families.add(diagnosis.warns_of(id) ? 1.0 : 0.0, {{"id", std::string(id)}});
  }
}

void add_receiver(Families& families, const Receiver& receiver) {
  const ReceiverStats& stats = receiver.stats();
  families.family("messages_received_total",
                  "Messages received from the broker, redeliveries included.", MetricType::Counter);
  for (std::size_t qos = 0; qos < stats.received.size(); ++qos) {
    families.add(stats.received[qos].load(), {{"qos", std::to_string(qos)}});
  }
  families.counter(
      "messages_empty_total",
      "Messages without payload, which clear a retained one: acknowledged, and ignored.",
      stats.empty);
  families.counter("messages_acknowledged_total",
                   "QoS 1 and 2 messages acknowledged to the broker after their commit.",
                   stats.acknowledged);
  families.gauge("last_message_timestamp_seconds",
                 "When the last message came from the broker; 0 when none did since the start.",
                 timestamp(stats.message_at));
  families.gauge("broker_connected", "1 while there is a session with the broker.",
                 stats.connected ? 1 : 0);
  families.gauge("broker_subscribed", "1 while the broker has granted every topic filter.",
                 stats.subscribed ? 1 : 0);
  add_filters(families, stats);
  families.gauge("broker_alive",
                 "1 while the connection is proven alive: something came from the broker in the "
                 "last one and a half intervals of MQTT_KEEPALIVE.",
                 receiver.hears_broker() ? 1 : 0);
  families.counter("broker_connects_total", "Connections that the broker accepted.",
                   stats.connects);
  families.family("broker_connect_failures_total",
                  "Attempts to connect that failed or were refused, by reason.",
                  MetricType::Counter);
  for (const auto& [reason, count] : stats.connect_failures_by_reason()) {
    families.add(count, {{"reason", reason}});
  }
  families.counter("broker_connections_lost_total",
                   "Connections that ended unasked, other than by the answer to a SUBSCRIBE.",
                   stats.connections_lost);
  families.counter(
      "broker_sessions_lost_total",
      "Times the broker had forgotten a session that it should have kept: messages may "
      "be lost there.",
      stats.sessions_lost);
}

/// By the wall clock, as the age must outlive a restart; a clock that was set back gives 0.
double age_seconds(const std::optional<WallTime>& since) {
  return since ? std::max(std::chrono::duration<double>(wall_now() - *since).count(), 0.0) : 0.0;
}

void add_spool(Families& families, const Spool& spool) {
  const SpoolTotals totals = spool.totals();
  families.gauge("spool_messages", "Messages that wait in the spool.",
                 static_cast<double>(totals.waiting()));
  families.gauge("spool_bytes", "Bytes of the messages that wait in the spool.",
                 static_cast<double>(totals.waiting_bytes));
  families.gauge("spool_oldest_age_seconds",
                 "Age of the oldest waiting message by the wall clock, and so wrong by as much as "
                 "the clock was when the message came; 0 when none waits.",
                 age_seconds(spool.oldest_received_at()));
  families.gauge("spool_intake_open",
                 "1 while the spool takes messages, 0 while it is full or broken.",
                 spool.intake() == Intake::open ? 1 : 0);
  add_states(families, "spool_intake_state", "1 for the state of the intake that holds.",
             std::array{Intake::open, Intake::at_cap, Intake::at_floor, Intake::disk_full,
                        Intake::disk_error, Intake::no_memory},
             spool.intake());
  if (const auto room = spool.room()) {
    families.gauge("spool_used_bytes", "Bytes of the disk that waiting messages take.",
                   static_cast<double>(room->used));
    families.gauge("spool_room_bytes",
                   "Bytes of the disk that further messages may take, by SPOOL_MAX_BYTES and "
                   "SPOOL_MIN_FREE_BYTES.",
                   static_cast<double>(room->left));
  }
  families.histogram("spool_commit_seconds", "Time of a commit to disk.", spool.commit_time());
  families.gauge("dead_letters", "Messages kept in the dead-letter store.",
                 static_cast<double>(spool.dead_letters_kept()));
  families
      .family("spool_account_messages",
              "Accounts of the spool since it was made, restarts included: received = stored + "
              "dead_lettered + set_aside + dropped + waiting.",
              MetricType::Gauge)
      .add(totals.received, {{"account", "received"}})
      .add(totals.stored, {{"account", "stored"}})
      .add(totals.dead_lettered, {{"account", "dead_lettered"}})
      .add(totals.set_aside, {{"account", "set_aside"}})
      .add(totals.dropped, {{"account", "dropped"}})
      .add(totals.waiting(), {{"account", "waiting"}});
  families.gauge("spool_set_aside_files",
                 "Damaged files that are kept in the spool's folder set-aside.",
                 static_cast<double>(spool.files_set_aside()));
}

/// Prefixes and sizes are no labels: their number has no bound.
void add_refusals(Families& families, const std::vector<Refusal>& refusals) {
  families.family("refused_messages",
                  "Messages that wait because they are refused while others are stored, by what "
                  "they have in common.",
                  MetricType::Gauge);
  for (const Refusal::Of of : {Refusal::Of::prefix, Refusal::Of::size, Refusal::Of::alone}) {
    std::uint64_t messages = 0;
    for (const Refusal& refusal : refusals) {
      messages += refusal.of == of ? refusal.messages : 0;
    }
    families.add(messages, {{"of", std::string(to_string(of))}});
  }
  const auto now = std::chrono::steady_clock::now();
  std::chrono::duration<double> oldest{0};
  for (const Refusal& refusal : refusals) {
    oldest = std::max<std::chrono::duration<double>>(oldest, now - refusal.since);
  }
  families.gauge("refusal_oldest_age_seconds",
                 "For how long the oldest of these refusals has lasted; 0 while there is none.",
                 oldest.count());
}

void add_pipeline(Families& families, const Pipeline& pipeline) {
  const PipelineStats& stats = pipeline.stats();
  families.family("uploads_total",
                  "Upload attempts by result; refused ones by the scope of what the answer says.",
                  MetricType::Counter);
  families.add(stats.uploads_stored(), {{"result", std::string(to_string(PutOutcome::stored))}});
  for (const Scope scope : kScopes) {
    families.add(stats.uploads_refused(scope),
                 {{"result", std::string(to_string(PutOutcome::refused))},
                  {"scope", std::string(to_string(scope))}});
  }
  families.histogram("upload_seconds", "Time of an upload that was stored.", stats.upload_time);
  families.counter("uploaded_bytes_total", "Bytes of the objects that were stored.",
                   stats.uploaded_bytes);
  families.counter("uploads_in_batches_total", "Objects that were stored in a batch of several.",
                   stats.stored_in_batches);
  families.counter("uploads_live_total",
                   "Objects that were stored ahead of the backlog in front of them.",
                   stats.stored_live);
  families.family("upload_refusals_total",
                  "Requests to upload that were refused or got no answer, by reason.",
                  MetricType::Counter);
  for (const auto& [reason, count] : stats.refusals()) {
    families.add(count, {{"reason", reason}});
  }
  families.counter(
      "objects_overwritten_total",
      "Objects that replaced another one with other bytes under the same key, among the "
      "last 1000 uploads.",
      pipeline.overwrites().total);
  add_refusals(families, pipeline.refusals());
  families.family("dead_letters_total", "Messages moved to the dead letters, by reason.",
                  MetricType::Counter);
  for (const DeadLetterReason reason : kDeadLetterReasons) {
    families.add(stats.dead_letters(reason), {{"reason", std::string(to_string(reason))}});
  }
  families.gauge("spool_key_missing",
                 "1 while a message waits for a key that is not among those of SPOOL_KEY.",
                 stats.missing_key.load() ? 1 : 0);
  families.gauge("upload_slots", "Uploads that may run at a time.",
                 static_cast<double>(pipeline.upload_slots()));
  families.gauge("last_upload_timestamp_seconds",
                 "When the store took the last object; 0 when it took none since the start.",
                 timestamp(stats.stored_at));
  add_states(
      families, "store_state",
      "1 for the state of the store that holds; blocked: it refuses everything until a person "
      "acts.",
      std::array{StoreState::unknown, StoreState::reachable, StoreState::away, StoreState::blocked},
      pipeline.store_state());
  families.gauge("store_reachable", "1 when the store took the last upload or check.",
                 pipeline.store_state() == StoreState::reachable ? 1 : 0);
}

void add_clock(Families& families, const ClockOffset* clock) {
  families.family("store_clock_offset_seconds",
                  "How far the store's clock is ahead of ours, by its last answer.",
                  MetricType::Gauge);
  if (const auto offset = clock != nullptr ? clock->seen() : std::nullopt) {
    families.add(static_cast<double>(offset->count()));
  }
}

void add_certificates(Families& families, const StatusSources& sources) {
  families.family("certificate_end_timestamp_seconds",
                  "When our own certificate for a peer ends; missing where we have none.",
                  MetricType::Gauge);
  for (const StatusSnapshot::CertificateEnd& end : certificate_ends_of(sources)) {
    families.add(static_cast<double>(end.at.time_since_epoch().count()), {{"peer", end.peer}});
  }
}

/// By the names that Prometheus' own libraries give them.
void add_process(Families& families) {
  const auto process = read_process_usage();
  if (!process) {
    return;
  }
  families.process_family("process_start_time_seconds", "When the process was started.",
                          MetricType::Gauge, process->start_time_seconds);
  families.process_family("process_cpu_seconds_total", "Time of the processors that it used.",
                          MetricType::Counter, process->cpu_seconds);
  families.process_family("process_resident_memory_bytes",
                          "Memory that it takes, mapped pages of the spool included.",
                          MetricType::Gauge, process->resident_bytes);
  families.process_family("process_open_fds", "File descriptors that are open.", MetricType::Gauge,
                          process->open_fds);
}

void add_log(Families& families) {
  families.counter("log_lines_dropped_total",
                   "Lines of the log that nobody read in time, so that they were dropped.",
                   log::dropped_lines());
}

}  // namespace

std::string metrics_text(const StatusSources& sources, const Diagnosis& diagnosis) {
  Families families;
  families.family("build_info", "The version of the program.", MetricType::Gauge)
      .add(1.0, {{"version", M2B_VERSION}});
  add_process(families);
  add_log(families);
  add_health(families, diagnosis);
  add_receiver(families, sources.receiver);
  add_spool(families, sources.spool);
  add_pipeline(families, sources.pipeline);
  add_clock(families, sources.clock_offset);
  add_certificates(families, sources);
  return families.text();
}

}  // namespace m2b
