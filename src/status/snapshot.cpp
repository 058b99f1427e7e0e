#include "status/snapshot.hpp"

#include <algorithm>
#include <functional>

#include "m2b/tls/tls_material.hpp"

namespace m2b {
namespace {

StatusSnapshot::Broker broker_of(const Receiver& receiver) {
  const ReceiverStats& stats = receiver.stats();
  StatusSnapshot::Broker broker{.connected = stats.connected,
                                .subscribed = stats.subscribed,
                                .filters = stats.filters(),
                                .trouble = stats.trouble(),
                                .session_lost_at = stats.session_lost_at(),
                                .empty = stats.empty,
                                .acknowledged = stats.acknowledged,
                                .connects = stats.connects,
                                .connect_failures = stats.connect_failures,
                                .connections_lost = stats.connections_lost,
                                .sessions_lost = stats.sessions_lost};
  if (broker.connected && !receiver.hears_broker()) {
    broker.silent_since = stats.heard_at.load();
  }
  if (const auto at = stats.last_message_at.load(); at != StatusSnapshot::Time{}) {
    broker.last_message_at = at;
  }
  for (const auto& of_qos : stats.received) {
    broker.received += of_qos;
  }
  return broker;
}

StatusSnapshot::Queue queue_of(const Spool& spool, WallTime now) {
  StatusSnapshot::Queue queue{.totals = spool.totals(),
                              .intake = spool.intake(),
                              .closed_since = spool.closed_since(),
                              .room = spool.room(),
                              .files_set_aside = spool.files_set_aside()};
  if (const auto oldest = spool.oldest_received_at()) {
    queue.oldest = *oldest;
    queue.oldest_age =
        std::max(std::chrono::floor<std::chrono::seconds>(now - *oldest), std::chrono::seconds(0));
  }
  return queue;
}

StatusSnapshot::Letters letters_of(const Spool& spool, const PipelineStats& stats) {
  StatusSnapshot::Letters letters{.kept = spool.dead_letters_kept(),
                                  .dropped = spool.dead_letters_dropped()};
  for (const DeadLetterReason reason : kDeadLetterReasons) {
    if (const std::uint64_t count = stats.dead_letters(reason); count > 0) {
      letters.buried.emplace_back(reason, count);
    }
  }
  if (letters.kept > 0) {
    letters.latest =
        spool.latest_letters(StatusSnapshot::kMaxLetters).value_or(std::vector<LetterInfo>());
  }
  return letters;
}

StatusSnapshot::Store store_of(const StatusSources& sources) {
  const PipelineStats& stats = sources.pipeline.stats();
  StatusSnapshot::Store store{.state = sources.pipeline.store_state(),
                              .trouble = sources.pipeline.store_trouble(),
                              .refusals = sources.pipeline.refusals(),
                              .uploads_stored = stats.uploads_stored(),
                              .refusals_by_code = stats.refusals(),
                              .uploaded_bytes = stats.uploaded_bytes,
                              .overwrites = sources.pipeline.overwrites(),
                              .slots = sources.pipeline.upload_slots(),
                              .outages = stats.store_outages};
  if (sources.clock_offset != nullptr) {
    store.clock_offset = sources.clock_offset->seen();
  }
  std::ranges::stable_sort(store.refusals, std::greater<>(), &Refusal::messages);
  for (const Scope scope : kScopes) {
    if (const std::uint64_t count = stats.uploads_refused(scope); count > 0) {
      store.uploads_refused.emplace(scope, count);
    }
  }
  return store;
}

}  // namespace

std::uint64_t StatusSnapshot::refused_messages() const noexcept {
  std::uint64_t messages = 0;
  for (const Refusal& refusal : store.refusals) {
    messages += refusal.messages;
  }
  // What is counted later may have left meanwhile.
  return std::min(messages, queue.totals.waiting());
}

Sample StatusSnapshot::sample() const noexcept {
  return {.at = at,
          .received = queue.totals.received,
          .stored = queue.totals.stored,
          .stored_bytes = store.uploaded_bytes,
          .progress = store.uploads_stored + queue.totals.gone(),
          .connections_lost = broker.connections_lost,
          .store_outages = store.outages,
          .waiting = queue.totals.waiting(),
          .refused = refused_messages(),
          .used_bytes = queue.room ? queue.room->used : 0,
          .oldest = queue.oldest};
}

std::vector<StatusSnapshot::CertificateEnd> certificate_ends_of(const StatusSources& sources) {
  std::vector<StatusSnapshot::CertificateEnd> ends;
  for (const NamedTls& each : sources.tls) {
    if (const auto end = own_certificate_ends(*each.options)) {
      ends.push_back({each.peer, *end});
    }
  }
  return ends;
}

StatusSnapshot take_snapshot(const StatusSources& sources,
                             std::chrono::steady_clock::time_point started_at) {
  StatusSnapshot snapshot;
  snapshot.at = std::chrono::steady_clock::now();
  snapshot.wall_time = wall_now();
  snapshot.up_for = std::chrono::floor<std::chrono::seconds>(snapshot.at - started_at);
  snapshot.names = sources.names;
  snapshot.broker = broker_of(sources.receiver);
  snapshot.queue = queue_of(sources.spool, snapshot.wall_time);
  snapshot.queue.missing_key = sources.pipeline.stats().missing_key;
  snapshot.letters = letters_of(sources.spool, sources.pipeline.stats());
  snapshot.store = store_of(sources);
  snapshot.certificate_ends = certificate_ends_of(sources);
  if (sources.pictures != nullptr) {
    snapshot.pictures = sources.pictures->list();
  }
  return snapshot;
}

}  // namespace m2b
