#pragma once

#include "status/diagnosis.hpp"
#include "status/snapshot.hpp"

namespace m2b::test {

/// All is well, for an hour, with nothing in the queue.
inline StatusSnapshot well() {
  StatusSnapshot snapshot;
  snapshot.at = StatusSnapshot::Time(std::chrono::hours(100));
  snapshot.wall_time = WallTime(std::chrono::milliseconds(1'700'000'000'000));
  snapshot.up_for = std::chrono::hours(1);
  snapshot.names = {.broker = "broker.lan:1883",
                    .topics = {"ia/#"},
                    .store = "minio.lan:9000",
                    .bucket = "pictures",
                    .spool = "/spool"};
  snapshot.broker.connected = true;
  snapshot.broker.subscribed = true;
  snapshot.broker.last_message_at = snapshot.at - std::chrono::seconds(1);
  snapshot.queue.totals = {.received = 100, .stored = 100};
  snapshot.queue.room = SpoolRoom{0, 1'000'000'000, Intake::at_floor};
  snapshot.store.state = StoreState::reachable;
  return snapshot;
}

/// So many messages of 450 kB wait in the queue.
inline void let_wait(StatusSnapshot& snapshot, std::uint64_t messages) {
  constexpr std::uint64_t kBytes = 450'000;
  snapshot.queue.totals.received = snapshot.queue.totals.gone() + messages;
  snapshot.queue.totals.waiting_bytes = messages * kBytes;
  snapshot.queue.room = SpoolRoom{messages * kBytes, 1'000'000'000, Intake::at_floor};
}

inline void let_store_fail(StatusSnapshot& snapshot, PutResult failure,
                           std::chrono::seconds ago = std::chrono::minutes(12)) {
  snapshot.store.state = failure.needs_person ? StoreState::blocked : StoreState::away;
  snapshot.store.trouble = StoreTrouble{std::move(failure), snapshot.at - ago};
}

/// So many of those that wait are refused, all for that reason, while others are stored.
inline void let_some_be_refused(StatusSnapshot& snapshot, Refusal refusal,
                                std::chrono::seconds ago = std::chrono::minutes(12)) {
  refusal.since = snapshot.at - ago;
  snapshot.store.refusals.push_back(std::move(refusal));
  let_wait(snapshot, snapshot.queue.totals.waiting() + snapshot.store.refusals.back().messages);
}

inline void let_broker_fail(StatusSnapshot& snapshot, BrokerTrouble trouble,
                            std::chrono::seconds ago = std::chrono::minutes(3)) {
  snapshot.broker.connected = false;
  snapshot.broker.subscribed = false;
  trouble.since = snapshot.at - ago;
  snapshot.broker.trouble = std::move(trouble);
}

inline void add_letter(StatusSnapshot& snapshot, LetterInfo letter) {
  ++snapshot.letters.kept;
  snapshot.letters.latest.insert(snapshot.letters.latest.begin(), std::move(letter));
}

}  // namespace m2b::test
