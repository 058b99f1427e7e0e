#include "spool/spool_writer.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "m2b/util/log.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

constexpr std::size_t kMaxUnsettled = 4096;
constexpr std::size_t kMaxBatchBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxLetterBytes = std::size_t{8} << 20;
constexpr std::chrono::seconds kFullRecheck{1};
constexpr std::chrono::seconds kBuryPause{5};
constexpr BackoffPolicy kDiskBackoff{.base = std::chrono::milliseconds(100),
                                     .cap = std::chrono::milliseconds(5000)};

/// A message's share of the file: whole pages, the last piece's rest included.
std::uint64_t bytes_on_disk(const MessageView& message) {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kHeaders = 64;
  return (message.topic.size() + message.payload.size() + kHeaders + kPage - 1) / kPage * kPage;
}

/// LMDB reports a short write on a full disk as EIO, so the disk itself is asked too.
bool is_disk_full(int code, const SpoolDirectory& directory) {
  constexpr std::uint64_t kNothingLeft = std::uint64_t{1} << 20;
  return code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL ||
         (code == EIO && directory.space().free_bytes < kNothingLeft);
}

template <class Env>
void reopen(Env& env) {
  try {
    env.reopen();
  } catch (const lmdb::Error& error) {
    log::error("spool", "cannot be opened again", {{"cause", error.what()}});
  }
}

template <class Queue>
void move_behind(Queue& queue, Queue& more) {
  queue.insert(queue.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
  more.clear();
}

}  // namespace

void SpoolWriter::Pending::take(Pending& other) {
  move_behind(appends, other.appends);
  move_behind(notes, other.notes);
  move_behind(settlements, other.settlements);
}

SpoolWriter::SpoolWriter(const SpoolDirectory& directory, const CapacityLimits& limits,
                         RecordEnv& records, DeadLetters& dead_letters)
    : directory_(directory),
      limits_(limits),
      records_(records),
      dead_letters_(dead_letters),
      backoff_(kDiskBackoff),
      totals_(records.totals()),
      dead_letters_kept_(dead_letters.count()) {
  thread_ = start_thread("spool-writer", [this](const std::stop_token& stop) { run(stop); });
}

std::future<Durability> SpoolWriter::append(const MessageView& message) {
  PendingAppend pending{message, {}};
  std::future<Durability> ticket = pending.ticket.get_future();
  const std::lock_guard lock(mutex_);
  if (closed_) {
    pending.ticket.set_value(Durability::closed);
  } else {
    arrived_.appends.push_back(std::move(pending));
    work_arrived_.notify_one();
  }
  return ticket;
}

std::future<Durability> SpoolWriter::write_note(std::string name, std::string text) {
  PendingNote pending{std::move(name), std::move(text), {}};
  std::future<Durability> ticket = pending.ticket.get_future();
  const std::lock_guard lock(mutex_);
  if (closed_) {
    pending.ticket.set_value(Durability::closed);
  } else {
    arrived_.notes.push_back(std::move(pending));
    work_arrived_.notify_one();
  }
  return ticket;
}

bool SpoolWriter::settle(Settlement settlement, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const bool has_room =
      settled_.wait(lock, stop, [this] { return closed_ || unsettled_ < kMaxUnsettled; });
  if (closed_ || !has_room) {
    return false;
  }
  arrived_.settlements.push_back(std::move(settlement));
  ++unsettled_;
  work_arrived_.notify_one();
  return true;
}

void SpoolWriter::set_append_listener(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  append_listener_ = std::move(listener);
}

void SpoolWriter::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    settled_.notify_all();
  }
  thread_.request_stop();
  if (thread_.joinable()) {
    thread_.join();
  }
}

SpoolTotals SpoolWriter::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

Intake SpoolWriter::intake() const {
  const std::lock_guard lock(mutex_);
  return intake_;
}

std::uint64_t SpoolWriter::dead_letters_kept() const {
  const std::lock_guard lock(mutex_);
  return dead_letters_kept_;
}

void SpoolWriter::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    collect(stop);
    write_batch(/*take_appends=*/true);
  }
  take_arrived();
  write_batch(/*take_appends=*/false);
  end_tickets();
}

void SpoolWriter::take_arrived() {
  const std::lock_guard lock(mutex_);
  in_hand_.take(arrived_);
}

/// Waits for work that can be done now, and takes it in hand.
void SpoolWriter::collect(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (paused_until_ > Clock::now()) {
    work_arrived_.wait_until(lock, stop, paused_until_, [] { return false; });
  } else if (!in_hand_.appends.empty()) {
    // They found no room. Another message will not find any either, but a settlement makes some.
    work_arrived_.wait_until(lock, stop, recheck_at_, [this] {
      return !arrived_.settlements.empty() || !arrived_.notes.empty();
    });
  } else if (!put_off_.empty()) {
    work_arrived_.wait_until(lock, stop, bury_at_, [this] { return !arrived_.empty(); });
  } else {
    work_arrived_.wait(lock, stop, [this] { return !arrived_.empty(); });
  }
  in_hand_.take(arrived_);
}

void SpoolWriter::write_batch(bool take_appends) {
  recheck_at_ = {};
  std::deque<Settlement> settled = std::exchange(in_hand_.settlements, {});
  if (Clock::now() >= bury_at_) {
    move_behind(settled, put_off_);
  }
  bury(settled);
  try {
    const bool deletions_first = std::exchange(skip_appends_once_, false);
    const std::size_t appends = take_appends && !deletions_first ? admitted_appends() : 0;
    if (settled.empty() && in_hand_.notes.empty() && appends == 0) {
      return;
    }
    const auto started = Clock::now();
    const SpoolTotals totals = commit(settled, appends);
    commit_time_.observe(Clock::now() - started);
    on_committed(totals, settled.size(), appends);
  } catch (const lmdb::Error& error) {
    move_behind(settled, in_hand_.settlements);
    in_hand_.settlements = std::move(settled);
    on_commit_failed(error);
  }
}

void SpoolWriter::on_committed(const SpoolTotals& totals, std::size_t settled,
                               std::size_t appends) {
  backoff_.reset();
  std::function<void()> listener;
  {
    const std::lock_guard lock(mutex_);
    totals_ = totals;
    unsettled_ -= settled;
    settled_.notify_all();
    listener = appends > 0 ? append_listener_ : nullptr;
  }
  for (std::size_t i = 0; i < appends; ++i) {
    in_hand_.appends.front().ticket.set_value(Durability::durable);
    in_hand_.appends.pop_front();
  }
  for (PendingNote& note : in_hand_.notes) {
    note.ticket.set_value(Durability::durable);
  }
  in_hand_.notes.clear();
  if (listener) {
    listener();
  }
  if (in_hand_.appends.empty()) {
    set_intake(Intake::open);
  } else if (settled > 0) {
    recheck_at_ = {};  // there may be room now
  }
}

/// Copies the rejected records to the dead letters; those that cannot be written there yet are put
/// off and leave `settled`.
void SpoolWriter::bury(std::deque<Settlement>& settled) {
  const auto is_stored = [](const Settlement& one) { return !one.rejection.has_value(); };
  const auto first_rejected = std::stable_partition(settled.begin(), settled.end(), is_stored);
  if (first_rejected == settled.end()) {
    return;
  }
  try {
    std::vector<DeadLetter> letters;
    std::size_t letter_bytes = 0;
    for (auto settlement = first_rejected; settlement != settled.end(); ++settlement) {
      // Nothing there: a settlement that came twice, or whose commit failed only after this step.
      if (auto raw = records_.read_raw(settlement->id)) {
        letter_bytes += raw->size();
        letters.push_back({settlement->id, *settlement->rejection, std::move(*raw)});
      }
      if (letter_bytes >= kMaxLetterBytes) {
        dead_letters_.add(letters);
        letters.clear();
        letter_bytes = 0;
      }
    }
    dead_letters_.add(letters);
    const std::uint64_t kept = dead_letters_.count();
    const std::lock_guard lock(mutex_);
    dead_letters_kept_ = kept;
  } catch (const lmdb::Error& error) {
    // Stored records go on leaving: only the bad ones wait, in the spool, for room.
    put_off_.insert(put_off_.end(), std::make_move_iterator(first_rejected),
                    std::make_move_iterator(settled.end()));
    settled.erase(first_rejected, settled.end());
    on_bury_failed(error);
  }
}

void SpoolWriter::on_bury_failed(const lmdb::Error& error) {
  bury_at_ = Clock::now() + kBuryPause;
  if (const auto held_back = failures_.admit(error.what())) {
    log::error("spool", "dead letters cannot be written; they stay in the spool until they can",
               {{"cause", error.what()}, {"waiting", put_off_.size()}, {"repeated", *held_back}});
  }
  if (!is_disk_full(error.code(), directory_)) {
    reopen(dead_letters_);
  }
}

/// How many of the appends in hand have room now; says so when one has none.
std::size_t SpoolWriter::admitted_appends() {
  if (in_hand_.appends.empty()) {
    return 0;
  }
  const RecordEnv::Usage used = records_.usage();
  CapacityUsage usage{.live_bytes = used.live_bytes,
                      .file_bytes = used.file_bytes,
                      .disk_free_bytes = directory_.space().free_bytes,
                      .empty = totals().waiting() == 0};
  std::size_t count = 0;
  std::uint64_t batch_bytes = 0;
  for (const PendingAppend& pending : in_hand_.appends) {
    const std::uint64_t bytes = bytes_on_disk(pending.message);
    const Intake intake = admit(limits_, usage, batch_bytes + bytes);
    if (intake != Intake::open) {
      set_intake(intake);
      recheck_at_ = Clock::now() + kFullRecheck;
      break;
    }
    usage.empty = false;
    batch_bytes += bytes;
    ++count;
    if (batch_bytes >= kMaxBatchBytes) {
      break;
    }
  }
  return count;
}

SpoolTotals SpoolWriter::commit(const std::deque<Settlement>& settled, std::size_t appends) {
  RecordEnv::Batch batch(records_);
  for (const Settlement& settlement : settled) {
    batch.erase(settlement.id, settlement.rejection.has_value());
  }
  for (std::size_t i = 0; i < appends; ++i) {
    batch.append(in_hand_.appends[i].message);
  }
  for (const PendingNote& note : in_hand_.notes) {
    batch.put_note(note.name, note.text);
  }
  return std::move(batch).commit();
}

void SpoolWriter::on_commit_failed(const lmdb::Error& error) {
  const bool full = is_disk_full(error.code(), directory_);
  paused_until_ = Clock::now() + backoff_.next();
  skip_appends_once_ = full;
  set_intake(full ? Intake::at_floor : Intake::disk_error);
  if (const auto held_back = failures_.admit(error.what())) {
    log::error("spool", "commit failed; nothing of it is acknowledged, trying again",
               {{"cause", error.what()},
                {"disk_free_bytes", directory_.space().free_bytes},
                {"repeated", *held_back}});
  }
  if (!full) {
    // After a failed sync the mapped pages cannot be trusted, and after a failed write of the meta
    // page LMDB refuses every transaction (MDB_PANIC) until the environment is opened again.
    reopen(records_);
  }
}

void SpoolWriter::set_intake(Intake intake) {
  Intake before = Intake::open;
  {
    const std::lock_guard lock(mutex_);
    before = std::exchange(intake_, intake);
  }
  if (before == intake) {
    return;
  }
  if (intake == Intake::open) {
    failures_.reset();
    log::info("spool", "takes messages again", {{"waiting", totals().waiting()}});
  } else {
    log::error(
        "spool",
        "takes no more messages; the broker keeps them and they are fetched once there is room",
        {{"cause", to_string(intake)},
         {"waiting", totals().waiting()},
         {"max_bytes", limits_.max_bytes},
         {"min_free_bytes", limits_.min_free_bytes},
         {"disk_free_bytes", directory_.space().free_bytes}});
  }
}

/// Whoever still waits learns that nothing of it was written.
void SpoolWriter::end_tickets() {
  for (PendingAppend& pending : in_hand_.appends) {
    pending.ticket.set_value(Durability::closed);
  }
  for (PendingNote& pending : in_hand_.notes) {
    pending.ticket.set_value(Durability::closed);
  }
  in_hand_ = {};
}

}  // namespace m2b
