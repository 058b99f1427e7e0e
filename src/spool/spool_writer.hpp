#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "m2b/util/backoff.hpp"
#include "m2b/util/histogram.hpp"
#include "m2b/util/pulse.hpp"
#include "m2b/util/repetition.hpp"
#include "spool/capacity.hpp"
#include "spool/dead_letters.hpp"
#include "spool/large_record.hpp"
#include "spool/letter_mover.hpp"
#include "spool/record_env.hpp"
#include "spool/spool_directory.hpp"

namespace m2b {

/// The one thread that writes the spool. It takes everything that waits into one transaction, keeps
/// what the disk does not take, and tries again for ever.
class SpoolWriter {
 public:
  using Clock = std::chrono::steady_clock;

  /// The references outlive the writer.
  SpoolWriter(SpoolDirectory& directory, const CapacityLimits& limits,
              const LetterLimits& letter_limits, RecordEnv& records, DeadLetters& dead_letters);
  ~SpoolWriter() { close(); }

  void append(const MessageView& message, OnDurable on_durable, std::stop_token withdraw);
  [[nodiscard]] std::future<Durability> write_note(std::string name, std::string text);
  [[nodiscard]] bool remove_stored(SpoolId id, const std::stop_token& stop);
  [[nodiscard]] Burial bury(SpoolId id, Rejection rejection, const std::stop_token& stop);
  [[nodiscard]] std::future<LettersMoved> move_letters(LetterMove move, std::vector<SpoolId> ids);
  void set_append_listener(std::function<void()> listener);
  /// A reader has met damage: the records are looked at, and mended, before the next commit.
  void distrust_records();
  void poke();
  void close();

  [[nodiscard]] const Pulse& pulse() const noexcept { return pulse_; }
  [[nodiscard]] SpoolTotals totals() const;
  [[nodiscard]] Intake intake() const;
  [[nodiscard]] bool has_room_for(std::uint64_t payload_bytes) const;
  [[nodiscard]] std::optional<Clock::time_point> closed_since() const;
  [[nodiscard]] LettersDropped dead_letters_dropped() const;
  [[nodiscard]] std::uint64_t dead_letters_kept() const;
  /// Rises with everything that gets on disk.
  [[nodiscard]] std::uint64_t progress() const noexcept { return progress_; }
  [[nodiscard]] const DurationHistogram& commit_time() const noexcept { return commit_time_; }

 private:
  struct PendingAppend {
    MessageView message;
    OnDurable on_durable;
    std::stop_token withdraw;
  };
  struct PendingNote {
    std::string name;
    std::string text;
    std::promise<Durability> ticket;
  };
  struct PendingMove {
    LetterMove move;
    std::vector<SpoolId> ids;
    std::promise<LettersMoved> outcome;
  };
  /// Shared between the writer and the one who waits in bury().
  struct PendingBurial {
    Rejection rejection;
    bool letter_written = false;         // only the writer
    std::optional<Burial> outcome = {};  // guarded by mutex_
  };
  struct Removal {
    SpoolId id;
    std::shared_ptr<PendingBurial> burial;  // none: the record was stored
  };
  using Removals = std::deque<Removal>;
  /// A record on its way to the dead letters that is too large for one transaction.
  struct LargeLetter {
    Removal removal;
    LargeCopy copy = {};
  };
  /// What waits for a commit, oldest first.
  struct Pending {
    std::deque<PendingAppend> appends;
    std::deque<PendingNote> notes;
    Removals removals;
    std::deque<PendingMove> moves;

    [[nodiscard]] bool empty() const noexcept {
      return appends.empty() && notes.empty() && removals.empty() && moves.empty();
    }
    /// Takes everything of `other` behind its own.
    void take(Pending& other);
  };
  [[nodiscard]] bool queue_removal(Removal removal, std::unique_lock<std::mutex>& lock,
                                   const std::stop_token& stop);
  [[nodiscard]] bool is_urgent() const;
  /// To go round although nothing arrived.
  [[nodiscard]] bool is_called() const { return records_are_distrusted_ || poked_; }

  void run(const std::stop_token& stop);
  void take_arrived();
  [[nodiscard]] bool take_distrust();
  void collect(const std::stop_token& stop);
  [[nodiscard]] bool has_more_to_do() const;
  [[nodiscard]] bool may_write_large_letter() const;
  void write_batch(bool take_appends);
  [[nodiscard]] bool put_back_if_removed();
  void write_letters(Removals& removals);
  void set_large_apart(Removals& removals);
  void write_large_letter(Removals& removals);
  void give_up_large_letter(const lmdb::Error& error);
  void on_letters_failed_to_be_written(const lmdb::Error& error);
  [[nodiscard]] bool add_letter(const Removal& removal, std::vector<DeadLetter>& letters);
  void commit_letters(std::vector<DeadLetter>& letters, std::vector<PendingBurial*>& burials);
  void give_up_unwritten(Removals& removals);
  void drop_withdrawn_appends();
  [[nodiscard]] std::size_t admitted_appends();
  void admit_large(const MessageView& message);
  void abandon_large();
  [[nodiscard]] CapacityUsage usage() const;
  [[nodiscard]] bool is_room_pending() const;
  /// What a commit has added.
  struct Committed {
    SpoolTotals totals;
    std::size_t appends = 0;
  };
  Committed commit(const Removals& removals, std::size_t appends, bool part_of_large);
  void on_committed(const SpoolTotals& totals, const Removals& removals, std::size_t appends);
  void trace(const Removals& removals, std::size_t appends) const;
  /// The id of an append of the last commit, which gave them one after the other.
  [[nodiscard]] SpoolId appended(std::size_t index) const noexcept {
    return SpoolId{to_number(first_appended_) + index};
  }
  void tell_listener();
  void on_commit_failed(const lmdb::Error& error);
  void reopen_records();
  void tend_letters();
  void keep_running_time();
  void count_dropped(std::uint64_t letters);
  void move_letters(PendingMove& pending);
  void on_letters_failed(const lmdb::Error& error);
  void update_totals();
  [[nodiscard]] bool is_to_be_told(Intake refusal);
  void set_intake(Intake intake);
  void end_tickets();

  SpoolDirectory& directory_;
  const CapacityLimits limits_;
  RecordEnv& records_;
  DeadLetters& dead_letters_;
  const bool letters_have_an_age_;
  LetterMover letter_mover_;
  DurationHistogram commit_time_;
  std::atomic<std::uint64_t> progress_ = 0;
  Pulse pulse_;

  // Only the writer thread touches these.
  Pending in_hand_;
  std::optional<LargeRecord> large_;       // of the first append in hand, while it is written
  std::deque<LargeLetter> large_letters_;  // the first one is being written
  Gaps gaps_;
  SpoolId first_appended_{};            // by the last commit
  Removals last_removed_;               // by the last commit
  Clock::time_point paused_until_{};    // nothing is tried before, after a failed commit
  Clock::time_point recheck_at_{};      // when appends without room look again
  Clock::time_point letters_due_at_{};  // when their limits are looked at
  Clock::time_point ages_due_at_{};     // when the letters' ages are looked at
  bool letters_are_unsettled_ = false;
  bool large_letter_is_noted_ = false;  // the first of them, that it may be incomplete
  bool drops_part_;                     // something is left of a record that was not completed
  bool skip_appends_once_ = false;      // the disk was full: deletions alone may succeed
  bool freed_pages_ = false;            // the last commit, by removals
  Backoff backoff_;
  Repetition failures_;
  Repetition refusals_{std::chrono::seconds(10)};
  Intake announced_intake_ = Intake::open;

  mutable std::mutex mutex_;  // guards the fields below
  std::condition_variable_any work_arrived_;
  std::condition_variable_any removed_;
  Pending arrived_;
  std::size_t uncommitted_removals_ = 0;
  std::size_t burials_waiting_ = 0;
  bool closed_ = false;
  bool records_are_distrusted_ = false;
  bool poked_ = false;
  SpoolTotals totals_;
  std::uint64_t dead_letters_kept_ = 0;
  Intake intake_ = Intake::open;
  Clock::time_point closed_since_{};
  Clock::time_point opened_at_{};
  LettersDropped letters_dropped_;

  /// Held while the listener is called, so that none runs once it is replaced; for nothing else,
  /// and by nobody who holds another mutex.
  std::mutex listener_mutex_;
  std::function<void()> append_listener_;

  std::jthread thread_;
};

}  // namespace m2b
