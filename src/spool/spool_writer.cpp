#include "spool/spool_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <stdexcept>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

constexpr std::size_t kMaxUncommittedRemovals = 4096;
constexpr std::size_t kMaxBatchBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxLetterBytes = std::size_t{8} << 20;
/// Nobody waits for the removal of a stored record, and one that a crash forgets costs an upload.
/// So it goes with the commit of the next message, or after this time in one with others like it.
constexpr std::chrono::milliseconds kRemovalDelay{100};
constexpr std::chrono::seconds kFullRecheck{1};
constexpr std::chrono::minutes kLettersRecheck{1};
/// A full spool takes a message whenever one has left it, and is as full as before.
constexpr std::chrono::seconds kOpenForAMoment{30};
constexpr BackoffPolicy kDiskBackoff{.base = std::chrono::milliseconds(100),
                                     .cap = std::chrono::milliseconds(5000)};

/// A message's share of the file: whole pages, the last piece's rest included.
std::uint64_t bytes_on_disk(std::uint64_t text_bytes) {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kHeaders = 96;  // of the record, its encryption and the page
  return (text_bytes + kHeaders + kPage - 1) / kPage * kPage;
}

std::uint64_t bytes_on_disk(const MessageView& message) {
  return bytes_on_disk(message.topic.size() + message.payload.size());
}

/// A commit may hold both; each point is for those that hold its kind.
void pass_fail_points(std::size_t appends, FailPoint of_appends, std::size_t removals,
                      FailPoint of_removals) noexcept {
  if (appends > 0) {
    fail_point(of_appends);
  }
  if (removals > 0) {
    fail_point(of_removals);
  }
}

template <class Env>
void reopen(Env& env, Repetition& failures) {
  try {
    env.reopen();
  } catch (const std::runtime_error& error) {  // lmdb::Error, or SpoolError from mending
    if (const auto held_back = failures.admit(fmt::format("reopen: {}", error.what()))) {
      log::error("spool", "cannot be opened again",
                 {{"cause", error.what()}, {"repeated", *held_back}});
    }
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
  move_behind(removals, other.removals);
  move_behind(moves, other.moves);
}

SpoolWriter::SpoolWriter(SpoolDirectory& directory, const CapacityLimits& limits,
                         const LetterLimits& letter_limits, RecordEnv& records,
                         DeadLetters& dead_letters)
    : directory_(directory),
      limits_(limits),
      records_(records),
      dead_letters_(dead_letters),
      letters_have_an_age_(letter_limits.max_age.count() > 0),
      letter_mover_(letter_limits, records, dead_letters),
      drops_part_(records.has_part()),
      backoff_(kDiskBackoff),
      totals_(records.totals()),
      dead_letters_kept_(dead_letters.count()) {
  thread_ = start_thread("spool-writer", [this](const std::stop_token& stop) { run(stop); });
}

void SpoolWriter::append(const MessageView& message, OnDurable on_durable,
                         std::stop_token withdraw) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      arrived_.appends.push_back({message, std::move(on_durable), std::move(withdraw)});
      work_arrived_.notify_one();
      return;
    }
  }
  on_durable(Durability::closed, SpoolId{});
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

bool SpoolWriter::remove_stored(SpoolId id, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  return queue_removal({id, nullptr}, lock, stop);
}

Burial SpoolWriter::bury(SpoolId id, Rejection rejection, const std::stop_token& stop) {
  const auto burial = std::make_shared<PendingBurial>(PendingBurial{std::move(rejection)});
  std::unique_lock lock(mutex_);
  ++burials_waiting_;
  if (!queue_removal({id, burial}, lock, stop)) {
    --burials_waiting_;
    return Burial::stopped;
  }
  removed_.wait(lock, stop, [&] { return burial->outcome.has_value(); });
  --burials_waiting_;
  return burial->outcome.value_or(Burial::stopped);
}

std::future<LettersMoved> SpoolWriter::move_letters(LetterMove move, std::vector<SpoolId> ids) {
  PendingMove pending{move, std::move(ids), {}};
  std::future<LettersMoved> outcome = pending.outcome.get_future();
  const std::lock_guard lock(mutex_);
  if (closed_) {
    pending.outcome.set_value({.failure = "the spool is closed"});
  } else {
    arrived_.moves.push_back(std::move(pending));
    work_arrived_.notify_one();
  }
  return outcome;
}

bool SpoolWriter::queue_removal(Removal removal, std::unique_lock<std::mutex>& lock,
                                const std::stop_token& stop) {
  const bool has_room = removed_.wait(
      lock, stop, [this] { return closed_ || uncommitted_removals_ < kMaxUncommittedRemovals; });
  if (closed_ || !has_room) {
    return false;
  }
  const bool is_first = arrived_.removals.empty();
  arrived_.removals.push_back(std::move(removal));
  ++uncommitted_removals_;
  if (is_first || is_urgent()) {
    work_arrived_.notify_one();
  }
  return true;
}

/// Whether what arrived should be committed at once.
bool SpoolWriter::is_urgent() const {
  const bool only_removals =
      arrived_.appends.empty() && arrived_.notes.empty() && arrived_.moves.empty();
  return !only_removals || records_are_distrusted_ || burials_waiting_ > 0 ||
         uncommitted_removals_ >= kMaxUncommittedRemovals / 2;
}

void SpoolWriter::set_append_listener(std::function<void()> listener) {
  const std::lock_guard lock(listener_mutex_);
  append_listener_.swap(listener);  // the old one is destroyed outside of the lock
}

void SpoolWriter::tell_listener() {
  const std::lock_guard lock(listener_mutex_);
  if (append_listener_) {
    append_listener_();
  }
}

void SpoolWriter::distrust_records() {
  const std::lock_guard lock(mutex_);
  records_are_distrusted_ = true;
  work_arrived_.notify_one();
}

void SpoolWriter::poke() {
  const std::lock_guard lock(mutex_);
  poked_ = true;
  work_arrived_.notify_one();
}

void SpoolWriter::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    removed_.notify_all();
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

bool SpoolWriter::has_room_for(std::uint64_t payload_bytes) const {
  return admit(limits_, usage(), bytes_on_disk(payload_bytes)) == Intake::open;
}

std::optional<SpoolWriter::Clock::time_point> SpoolWriter::closed_since() const {
  const std::lock_guard lock(mutex_);
  return intake_ == Intake::open ? std::nullopt : std::optional(closed_since_);
}

LettersDropped SpoolWriter::dead_letters_dropped() const {
  const std::lock_guard lock(mutex_);
  return letters_dropped_;
}

std::uint64_t SpoolWriter::dead_letters_kept() const {
  const std::lock_guard lock(mutex_);
  return dead_letters_kept_;
}

void SpoolWriter::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pulse_.beat();
    collect(stop);
    if (take_distrust()) {
      reopen_records();
    }
    write_batch(/*take_appends=*/true);
    tend_letters();
  }
  pulse_.rest();
  take_arrived();
  abandon_large();
  write_batch(/*take_appends=*/false);
  try {
    keep_running_time();
  } catch (const lmdb::Error&) {
    // The ages go on at the next start from what was kept before.
  }
  end_tickets();
}

bool SpoolWriter::take_distrust() {
  const std::lock_guard lock(mutex_);
  return std::exchange(records_are_distrusted_, false);
}

void SpoolWriter::take_arrived() {
  const std::lock_guard lock(mutex_);
  in_hand_.take(arrived_);
}

/// Waits for work that can be done now, and takes it in hand.
void SpoolWriter::collect(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const bool left_by_a_failed_commit = !in_hand_.removals.empty() || !in_hand_.notes.empty();
  if (paused_until_ > Clock::now()) {
    work_arrived_.wait_until(lock, stop, paused_until_, [] { return false; });
  } else if (left_by_a_failed_commit || has_more_to_do()) {
    // The pause after the failure is over, or the next part is due: again at once.
  } else if (!in_hand_.appends.empty()) {
    // They found no room. Another message will not find any either, but a removal makes some.
    work_arrived_.wait_until(lock, stop, recheck_at_, [this] {
      return !arrived_.removals.empty() || !arrived_.notes.empty() || !arrived_.moves.empty() ||
             is_called();
    });
  } else {
    work_arrived_.wait_until(lock, stop, letters_due_at_,
                             [this] { return !arrived_.empty() || is_called(); });
    if (!arrived_.removals.empty()) {
      work_arrived_.wait_until(lock, stop, Clock::now() + kRemovalDelay,
                               [this] { return is_urgent(); });
    }
  }
  poked_ = false;
  in_hand_.take(arrived_);
}

/// What there is of one that was given up has to go before the next one begins.
bool SpoolWriter::may_write_large_letter() const {
  return !large_letters_.empty() && (large_letter_is_noted_ || !letters_are_unsettled_);
}

/// Parts of what is too large for one transaction.
bool SpoolWriter::has_more_to_do() const {
  return large_ || drops_part_ || may_write_large_letter();
}

void SpoolWriter::write_batch(bool take_appends) {
  recheck_at_ = {};
  if (!put_back_if_removed()) {
    return;
  }
  Removals removals = std::exchange(in_hand_.removals, {});
  write_letters(removals);
  try {
    const bool removals_first = std::exchange(skip_appends_once_, false);
    const bool may_append = take_appends && !removals_first;
    const std::size_t appends = may_append ? admitted_appends() : 0;
    const bool has_part = may_append && large_;
    const bool has_work =
        !removals.empty() || !in_hand_.notes.empty() || appends > 0 || has_part || drops_part_;
    if (!has_work && !(may_append && freed_pages_ && is_room_pending())) {
      return;
    }
    const auto started = Clock::now();
    const Committed committed = commit(removals, appends, has_part);
    commit_time_.observe(Clock::now() - started);
    ++progress_;
    if (!put_back_if_removed()) {
      in_hand_.removals = std::move(removals);  // all of it is written once more, which is harmless
      abandon_large();
      return;
    }
    on_committed(committed.totals, removals, committed.appends);
  } catch (const lmdb::Error& error) {
    in_hand_.removals = std::move(removals);
    on_commit_failed(error);
  }
}

/// Nothing is acknowledged that is only in a file which nobody will find again. False: not now.
bool SpoolWriter::put_back_if_removed() {
  if (records_.is_in_place() && dead_letters_.is_in_place()) {
    return true;
  }
  try {
    directory_.take_again();
    records_.put_back();
    dead_letters_.put_back();
    abandon_large();
    if (const auto held_back = refusals_.admit("files removed")) {
      log::error("spool",
                 "its files were removed or replaced while in use; they were written again, with "
                 "all that was in them, from those that were still open",
                 {{"waiting", totals().waiting()}, {"repeated", *held_back}});
    }
    return true;
  } catch (const std::runtime_error& error) {  // lmdb::Error or SpoolError
    if (const auto held_back = failures_.admit(error.what())) {
      log::write(
          log::Level::critical, "spool",
          "its files were removed or replaced while in use and cannot be written again; "
          "what waits is in files that go with this process",
          {{"cause", error.what()}, {"waiting", totals().waiting()}, {"repeated", *held_back}});
    }
    set_intake(Intake::disk_error);
    paused_until_ = Clock::now() + backoff_.next();
    return false;
  }
}

void SpoolWriter::on_committed(const SpoolTotals& totals, const Removals& removals,
                               std::size_t appends) {
  backoff_.reset();
  {
    const std::lock_guard lock(mutex_);
    totals_ = totals;
    uncommitted_removals_ -= removals.size();
    for (const Removal& removal : removals) {
      if (removal.burial) {
        removal.burial->outcome = Burial::done;
      }
    }
    removed_.notify_all();
  }
  if (log::enabled(log::Level::debug)) {
    trace(removals, appends);
  }
  for (std::size_t i = 0; i < appends; ++i) {
    in_hand_.appends.front().on_durable(Durability::durable, appended(i));
    in_hand_.appends.pop_front();
  }
  for (PendingNote& note : in_hand_.notes) {
    note.ticket.set_value(Durability::durable);
  }
  in_hand_.notes.clear();
  last_removed_ = removals;
  freed_pages_ = !removals.empty();
  if (appends > 0) {
    tell_listener();
  }
  if (in_hand_.appends.empty() || large_) {
    set_intake(Intake::open);
  } else if (appends == 0 || !removals.empty()) {
    recheck_at_ = {};  // there may be room now
  }
}

/// The way of each message: on disk, and gone again.
void SpoolWriter::trace(const Removals& removals, std::size_t appends) const {
  for (std::size_t i = 0; i < appends; ++i) {
    const MessageView& message = in_hand_.appends[i].message;
    log::debug("spool", "received, on disk",
               {{"id", to_number(appended(i))},
                {"topic", message.topic},
                {"bytes", message.payload.size()},
                {"qos", message.qos},
                {"duplicate", message.duplicate},
                {"retained", message.retained},
                {"milliseconds", (wall_now() - message.received_at).count()}});
  }
  for (const Removal& removal : removals) {
    log::debug("spool", "removed",
               {{"id", to_number(removal.id)}, {"to", removal.burial ? "dead letters" : "store"}});
  }
}

/// Copies rejected records to the dead letters, before the commit that removes them. Those that
/// cannot be written now leave `removals`, and who waits for them is told.
void SpoolWriter::write_letters(Removals& removals) {
  set_large_apart(removals);
  std::vector<DeadLetter> letters;
  std::vector<PendingBurial*> burials;
  std::size_t bytes = 0;
  for (const Removal& removal : removals) {
    if (!removal.burial || removal.burial->letter_written || !add_letter(removal, letters)) {
      continue;
    }
    burials.push_back(removal.burial.get());
    bytes += letters.empty() ? 0 : letters.back().raw.size();
    if (bytes >= kMaxLetterBytes) {
      commit_letters(letters, burials);
      bytes = 0;
    }
  }
  commit_letters(letters, burials);
  give_up_unwritten(removals);
  write_large_letter(removals);
}

/// Copies of them are written part by part, beside everything else.
void SpoolWriter::set_large_apart(Removals& removals) {
  const auto is_large = [this](const Removal& removal) {
    try {
      return removal.burial && !removal.burial->letter_written &&
             records_.bytes_of(removal.id) > kMaxTransactionBytes;
    } catch (const lmdb::Error&) {
      return false;  // as one that cannot be read it is given up
    }
  };
  std::erase_if(removals, [&](Removal& removal) {
    const bool large = is_large(removal);
    if (large) {
      large_letters_.push_back({std::move(removal)});
    }
    return large;
  });
}

/// One part of the first of them; once it is whole, it is among the removals that come next.
void SpoolWriter::write_large_letter(Removals& removals) {
  if (!may_write_large_letter()) {
    return;
  }
  LargeLetter& letter = large_letters_.front();
  try {
    if (!large_letter_is_noted_) {
      letter_mover_.note_incomplete(letter.removal.id);
      large_letter_is_noted_ = true;
    }
    fail_point("letter.before_part");
    const bool is_whole = dead_letters_.add_part(
        letter.removal.id, letter.removal.burial->rejection, letter.copy,
        [&](std::uint64_t first, std::size_t max_pieces, const PieceStore::VisitPiece& visit) {
          return records_.visit_pieces(letter.removal.id, first, max_pieces, visit);
        });
    fail_point("letter.after_part");
    ++progress_;
    if (!is_whole) {
      return;
    }
    letters_due_at_ = {};
    const std::uint64_t kept = dead_letters_.count();
    letter.removal.burial->letter_written = true;
    large_letter_is_noted_ = false;  // the letter is there, so the note says nothing any more
    removals.push_back(std::move(letter.removal));
    large_letters_.pop_front();
    const std::lock_guard lock(mutex_);
    dead_letters_kept_ = kept;
  } catch (const lmdb::Error& error) {
    give_up_large_letter(error);
  }
}

void SpoolWriter::give_up_large_letter(const lmdb::Error& error) {
  if (error.is_damage()) {
    distrust_records();
  }
  on_letters_failed_to_be_written(error);
  letters_are_unsettled_ = true;  // what there is of the letter goes
  letters_due_at_ = {};
  large_letter_is_noted_ = false;
  const std::lock_guard lock(mutex_);
  large_letters_.front().removal.burial->outcome = Burial::not_now;
  large_letters_.pop_front();
  --uncommitted_removals_;
  removed_.notify_all();
}

/// False when the record cannot be read now. A record that is gone needs no letter.
bool SpoolWriter::add_letter(const Removal& removal, std::vector<DeadLetter>& letters) {
  try {
    if (auto raw = records_.read_raw(removal.id)) {
      letters.push_back({removal.id, removal.burial->rejection, std::move(*raw)});
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  } catch (const lmdb::Error& error) {
    if (error.is_damage()) {
      distrust_records();
    }
    return false;
  }
}

void SpoolWriter::commit_letters(std::vector<DeadLetter>& letters,
                                 std::vector<PendingBurial*>& burials) {
  try {
    if (!letters.empty()) {
      fail_point("letter.before_commit");
      dead_letters_.add(letters);
      letters_due_at_ = {};
      fail_point("letter.after_commit");
      const std::uint64_t kept = dead_letters_.count();
      const std::lock_guard lock(mutex_);
      dead_letters_kept_ = kept;
    }
    for (PendingBurial* const burial : burials) {
      burial->letter_written = true;
    }
  } catch (const lmdb::Error& error) {
    on_letters_failed_to_be_written(error);
  }
  letters.clear();
  burials.clear();
}

void SpoolWriter::on_letters_failed_to_be_written(const lmdb::Error& error) {
  if (const auto held_back = failures_.admit(error.what())) {
    log::error("spool", "dead letters cannot be written; they stay in the spool until they can",
               {{"cause", error.what()},
                {"disk_free_bytes", directory_.space().free_bytes},
                {"repeated", *held_back}});
  }
  if (!directory_.is_full(error.code())) {
    reopen(dead_letters_, failures_);
  }
}

/// What a person wants of the dead letters, and what their limits want.
void SpoolWriter::tend_letters() {
  const bool is_due = Clock::now() >= letters_due_at_;
  // A replay gives ids, of which a large record that is not complete has the next one.
  if (large_ || (in_hand_.moves.empty() && !is_due)) {
    return;
  }
  try {
    if (letters_are_unsettled_ && !large_letter_is_noted_) {
      letter_mover_.settle();
      letters_are_unsettled_ = false;
    }
    while (!in_hand_.moves.empty()) {
      PendingMove pending = std::move(in_hand_.moves.front());
      in_hand_.moves.pop_front();
      move_letters(pending);
    }
    if (is_due) {
      const bool look_at_ages = letters_have_an_age_ && Clock::now() >= ages_due_at_;
      count_dropped(letter_mover_.enforce_limits(look_at_ages));
      if (look_at_ages) {
        keep_running_time();
        ages_due_at_ = Clock::now() + kLettersRecheck;
      }
      letters_due_at_ = letters_have_an_age_ ? ages_due_at_ : Clock::time_point::max();
    }
    update_totals();
  } catch (const lmdb::Error& error) {
    on_letters_failed(error);
  }
}

/// Where the disk has no room for it, it is kept later.
void SpoolWriter::keep_running_time() {
  try {
    dead_letters_.keep_running_time();
  } catch (const lmdb::Error& error) {
    if (!directory_.is_full(error.code())) {
      throw;
    }
  }
}

void SpoolWriter::count_dropped(std::uint64_t letters) {
  if (letters > 0) {
    const std::lock_guard lock(mutex_);
    letters_dropped_ = {letters_dropped_.count + letters, Clock::now()};
  }
}

void SpoolWriter::move_letters(PendingMove& pending) {
  LettersMoved moved;
  try {
    letter_mover_.move(pending.move, pending.ids, moved);
  } catch (const lmdb::Error& error) {
    moved.failure = error.what();
    pending.outcome.set_value(std::move(moved));
    throw;
  }
  update_totals();
  if (pending.move == LetterMove::replay) {
    tell_listener();
  }
  pending.outcome.set_value(std::move(moved));
}

void SpoolWriter::on_letters_failed(const lmdb::Error& error) {
  if (const auto held_back = failures_.admit(error.what())) {
    log::error("spool", "dead letters could not be moved or dropped",
               {{"cause", error.what()},
                {"disk_free_bytes", directory_.space().free_bytes},
                {"repeated", *held_back}});
  }
  if (!directory_.is_full(error.code())) {
    reopen(dead_letters_, failures_);
    reopen_records();
  }
  letters_are_unsettled_ = true;
  letters_due_at_ = Clock::now() + kLettersRecheck;
  drops_part_ = true;  // of a replay
}

void SpoolWriter::update_totals() {
  const SpoolTotals totals = records_.totals();
  const std::uint64_t kept = dead_letters_.count();
  const std::lock_guard lock(mutex_);
  totals_ = totals;
  dead_letters_kept_ = kept;
}

void SpoolWriter::give_up_unwritten(Removals& removals) {
  const auto is_unwritten = [](const Removal& removal) {
    return removal.burial && !removal.burial->letter_written;
  };
  const std::lock_guard lock(mutex_);
  for (const Removal& removal : removals) {
    if (is_unwritten(removal)) {
      removal.burial->outcome = Burial::not_now;
      --uncommitted_removals_;
    }
  }
  std::erase_if(removals, is_unwritten);
  removed_.notify_all();
}

void SpoolWriter::drop_withdrawn_appends() {
  std::erase_if(in_hand_.appends, [&](const PendingAppend& pending) {
    const bool is_withdrawn = pending.withdraw.stop_requested();
    if (is_withdrawn && &pending == &in_hand_.appends.front()) {
      abandon_large();
    }
    if (is_withdrawn) {
      pending.on_durable(Durability::withdrawn, SpoolId{});
    }
    return is_withdrawn;
  });
}

CapacityUsage SpoolWriter::usage() const {
  const RecordEnv::Usage used = records_.usage();
  return {.live_bytes = used.live_bytes,
          .pending_bytes = used.pending_bytes,
          .file_bytes = used.file_bytes,
          .disk_free_bytes = directory_.space().free_bytes,
          .empty = totals().waiting() == 0};
}

/// Whether an append has room in pages that were freed, but only once another commit was made,
/// which may be an empty one.
bool SpoolWriter::is_room_pending() const {
  if (in_hand_.appends.empty()) {
    return false;
  }
  const std::uint64_t bytes = bytes_on_disk(in_hand_.appends.front().message);
  CapacityUsage usage = this->usage();
  usage.gap_bytes = gaps_.bytes(usage, bytes);
  if (admit(limits_, usage, bytes) == Intake::open) {
    return false;
  }
  usage.pending_bytes = 0;
  return admit(limits_, usage, bytes) == Intake::open;
}

/// How many of the appends in hand have room now; says so when one has none.
std::size_t SpoolWriter::admitted_appends() {
  drop_withdrawn_appends();
  if (in_hand_.appends.empty() || large_) {
    return 0;
  }
  CapacityUsage usage = this->usage();
  gaps_.learn(usage);
  std::size_t count = 0;
  std::uint64_t batch_bytes = 0;
  std::uint64_t largest = 0;
  for (const PendingAppend& pending : in_hand_.appends) {
    const std::uint64_t bytes = bytes_on_disk(pending.message);
    usage.gap_bytes = gaps_.bytes(usage, bytes);
    const Intake intake = admit(limits_, usage, batch_bytes + bytes);
    if (intake != Intake::open) {
      set_intake(intake);
      recheck_at_ = Clock::now() + kFullRecheck;
      break;
    }
    if (bytes > kMaxTransactionBytes) {
      if (count == 0) {
        admit_large(pending.message);
      }
      break;
    }
    usage.empty = false;
    batch_bytes += bytes;
    largest = std::max(largest, bytes);
    ++count;
    if (batch_bytes >= kMaxBatchBytes) {
      break;
    }
  }
  gaps_.expect(usage, batch_bytes, largest);
  return count;
}

void SpoolWriter::admit_large(const MessageView& message) {
  large_.emplace(
      [message](SpoolId id, const EncryptionKey* key) { return RecordStream(id, message, key); });
}

/// It begins anew, if its message is still to be written.
void SpoolWriter::abandon_large() {
  drops_part_ = drops_part_ || large_;
  large_.reset();
}

SpoolWriter::Committed SpoolWriter::commit(const Removals& removals, std::size_t appends,
                                           bool part_of_large) {
  RecordEnv::Batch batch(records_);
  if (drops_part_) {
    batch.drop_part();
  }
  for (const Removal& removal : removals) {
    batch.erase(removal.id, removal.burial != nullptr);
  }
  for (std::size_t i = 0; i < appends; ++i) {
    const SpoolId id = batch.append(in_hand_.appends[i].message);
    first_appended_ = i == 0 ? id : first_appended_;
  }
  for (const PendingNote& note : in_hand_.notes) {
    batch.put_note(note.name, note.text);
  }
  const auto large = part_of_large ? batch.append_part(*large_) : std::nullopt;
  if (large) {
    batch.count_received();
    first_appended_ = *large;
    appends = 1;
  } else if (part_of_large) {
    fail_point("append.before_part");
  }
  pass_fail_points(appends, "append.before_commit", removals.size(), "removal.before_commit");
  const SpoolTotals totals = std::move(batch).commit();
  pass_fail_points(appends, "append.after_commit", removals.size(), "removal.after_commit");
  drops_part_ = false;
  if (large) {
    large_.reset();
  } else if (part_of_large) {
    fail_point("append.after_part");
  }
  return {totals, appends};
}

void SpoolWriter::on_commit_failed(const lmdb::Error& error) {
  const bool full = directory_.is_full(error.code());
  abandon_large();
  skip_appends_once_ = full;
  set_intake(full                     ? Intake::disk_full
             : error.code() == ENOMEM ? Intake::no_memory
                                      : Intake::disk_error);
  if (const auto held_back = failures_.admit(error.what())) {
    log::error("spool", "commit failed; nothing of it is acknowledged, trying again",
               {{"cause", error.what()},
                {"disk_free_bytes", directory_.space().free_bytes},
                {"repeated", *held_back}});
  }
  if (!full || !records_.is_open()) {
    // After a failed sync the mapped pages cannot be trusted, and after a failed write of the meta
    // page LMDB refuses every transaction (MDB_PANIC) until the environment is opened again.
    reopen_records();
  }
  paused_until_ = Clock::now() + backoff_.next();
}

/// If the records had to be mended, what the last commit removed may have come back, and nobody
/// would ask for it again: it is removed once more.
void SpoolWriter::reopen_records() {
  reopen(records_, failures_);
  abandon_large();
  const std::lock_guard lock(mutex_);
  uncommitted_removals_ += last_removed_.size();
  in_hand_.removals.insert(in_hand_.removals.begin(), last_removed_.begin(), last_removed_.end());
  last_removed_.clear();
  letters_are_unsettled_ = true;
  letters_due_at_ = {};
}

/// At its limit each record that leaves makes room for the next, so that is told once in a while.
/// Errors of the disk are spaced by their backoff.
bool SpoolWriter::is_to_be_told(Intake refusal) {
  const bool is_limit = refusal == Intake::at_cap || refusal == Intake::at_floor;
  return refusal != announced_intake_ && (!is_limit || refusals_.admit(to_string(refusal)));
}

void SpoolWriter::set_intake(Intake intake) {
  Intake before = Intake::open;
  {
    const std::lock_guard lock(mutex_);
    before = std::exchange(intake_, intake);
    if (before != Intake::open && intake == Intake::open) {
      opened_at_ = Clock::now();
    } else if (before == Intake::open && intake != Intake::open &&
               Clock::now() - opened_at_ > kOpenForAMoment) {
      closed_since_ = Clock::now();
    }
  }
  if (intake == Intake::open) {
    if (before != intake) {
      failures_.reset();
    }
    if (std::exchange(announced_intake_, intake) != intake) {
      log::info("spool", "takes messages again", {{"waiting", totals().waiting()}});
    }
  } else if (is_to_be_told(intake)) {
    announced_intake_ = intake;
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
  // Callbacks own what is not ours, whose destructor may take any lock (Paho's, for one, under
  // which append() is called): they are destroyed after the mutex is free again.
  Pending ended = std::exchange(in_hand_, {});
  for (PendingAppend& pending : ended.appends) {
    pending.on_durable(Durability::closed, SpoolId{});
  }
  for (PendingNote& pending : ended.notes) {
    pending.ticket.set_value(Durability::closed);
  }
  for (PendingMove& pending : ended.moves) {
    pending.outcome.set_value({.failure = "the spool is being closed"});
  }
  const std::lock_guard lock(mutex_);
  for (const Removal& removal : ended.removals) {
    if (removal.burial) {
      removal.burial->outcome = Burial::stopped;
    }
  }
  for (const LargeLetter& letter : large_letters_) {
    letter.removal.burial->outcome = Burial::stopped;
  }
  removed_.notify_all();
}

}  // namespace m2b
