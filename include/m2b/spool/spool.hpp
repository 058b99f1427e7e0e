#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/message.hpp"
#include "m2b/spool/options.hpp"
#include "m2b/spool/record.hpp"
#include "m2b/spool/record_info.hpp"
#include "m2b/util/histogram.hpp"
#include "m2b/util/pulse.hpp"

namespace m2b {

/// The spool cannot be used at start: the text names the directory, the cause and the remedy. Never
/// because its files are damaged.
class SpoolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How a ticket ends. There is no failure: while the disk is full or broken, tickets stay open.
enum class Durability {
  durable,    ///< on disk: the message may be acknowledged
  withdrawn,  ///< its owner gave it up first: nothing of it is on disk
  closed      ///< the spool was closed first: it must not be acknowledged
};

/// Called once for a message, by the spool's writer or within append(), with the id of its record
/// if it is durable; it must not block and must not call the spool.
using OnDurable = std::function<void(Durability, SpoolId)>;

/// Whether the spool takes messages, and if not, why.
enum class Intake {
  open,
  at_cap,      ///< SPOOL_MAX_BYTES is reached
  at_floor,    ///< SPOOL_MIN_FREE_BYTES is reached
  disk_full,   ///< the last commit found no space at all
  disk_error,  ///< the last commit failed
  no_memory    ///< the last commit found no memory or address space, whatever the disk has
};

[[nodiscard]] const char* to_string(Intake intake) noexcept;

/// The same for programs, as a label that stays: `at_cap`.
[[nodiscard]] const char* label_of(Intake intake) noexcept;

/// The accounts of the spool since it was made; they survive restarts, because they are written in
/// the same transactions as what they count.
/// received = stored + dead_lettered + set_aside + dropped + waiting().
struct SpoolTotals {
  std::uint64_t received = 0;
  std::uint64_t stored = 0;
  std::uint64_t dead_lettered = 0;  // and still in the dead letters
  std::uint64_t set_aside = 0;      // only in a damaged file that was set aside
  std::uint64_t dropped = 0;        // dead letters, by a limit or by a person
  std::uint64_t waiting_bytes = 0;  // of the waiting records, without the tree's own pages

  [[nodiscard]] std::uint64_t gone() const noexcept {
    return stored + dead_lettered + set_aside + dropped;
  }
  [[nodiscard]] std::uint64_t waiting() const noexcept { return received - gone(); }
};

/// How much of its room the spool has taken; bytes.
struct SpoolRoom {
  std::uint64_t used = 0;           // by what waits, in whole pages
  std::uint64_t left = 0;           // until the intake closes
  Intake bound = Intake::at_floor;  // what will close it first: at_cap or at_floor
};

/// Dead letters that the spool itself dropped since the start of the process.
struct LettersDropped {
  std::uint64_t count = 0;
  std::chrono::steady_clock::time_point last = {};
};

/// A record that waits, without its bytes.
struct SpoolEntry {
  SpoolId id;
  std::size_t bytes;
};

/// How Spool::bury() ended.
enum class Burial {
  done,     ///< the record is on disk in the dead letters and has left the spool
  not_now,  ///< the dead letters cannot be written at the moment; the record stays in the spool
  stopped   ///< stopped or closed first; the record may be in both, under the same id
};

/// Where dead letters go.
enum class LetterMove {
  replay,  ///< back into the queue, as if the message had just come
  stored,  ///< the bucket has it
  drop     ///< gone for good
};

/// How a move ended. What is in none of the fields was not there, or its record still waits.
struct LettersMoved {
  std::uint64_t moved = 0;
  std::vector<SpoolId> damaged = {};  // not what was received, so they cannot be replayed
  std::string failure = {};           // why the rest was not moved; empty: all was tried
};

/// The record has left the spool.
struct NoRecord {};
/// No note of this name.
struct NoNote {};
/// The disk did not answer; another attempt may succeed.
struct ReadFailed {};
using RawResult = std::variant<std::string, NoRecord, ReadFailed>;
using ReadResult = std::variant<Record, NoRecord, DamagedRecord, KeyMissing, ReadFailed>;
using PayloadRead = std::variant<std::string, NoRecord, KeyMissing, ReadFailed>;
using NoteRead = std::variant<std::string, NoNote, ReadFailed>;

/// The durable queue between broker and store: one LMDB environment, one writer thread. Whatever
/// waits (messages, removals, notes) shares a transaction; while one batch is being synced, the
/// next collects. All members may be called from any thread.
///
/// What survives a crash: every message whose ticket was durable, until its removal is
/// committed. A removal that was not committed is forgotten, and the record is offered again
/// after the restart.
class Spool {
 public:
  /// Opens or makes the spool and takes the directory's lock. What is damaged is mended: what can
  /// be read goes on, the damaged file is kept in `set-aside`. Throws SpoolError, also where no
  /// keys are given and it was encrypted: nothing is written in the clear by mistake.
  explicit Spool(const SpoolOptions& options);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Queues a message for the next commit. Topic and payload stay valid until `on_durable` is
  /// called, which happens in the order of the appends. `withdraw` gives up a message that waits
  /// for room on the disk; one that is already being written becomes durable.
  void append(const MessageView& message, OnDurable on_durable, std::stop_token withdraw = {});
  /// The same with a ticket.
  [[nodiscard]] std::future<Durability> append(const MessageView& message);

  /// Queues the removal of a record whose object the store has confirmed. Waits while too many
  /// removals have no commit yet, for example because the disk is full; `stop` ends that waiting.
  /// Removals are committed in the order of the calls. False when stopped or closed: the record
  /// then stays.
  [[nodiscard]] bool remove_stored(SpoolId id, const std::stop_token& stop = {});

  /// Moves a record that can never be an object to the dead letters, and waits until that is
  /// committed.
  [[nodiscard]] Burial bury(SpoolId id, Rejection rejection, const std::stop_token& stop = {});

  /// Up to `max` waiting records with ids above `after`, in order; nothing when the disk did not
  /// answer.
  [[nodiscard]] std::optional<std::vector<SpoolEntry>> list(SpoolId after, std::size_t max) const;

  /// The newest id that was given; nothing when the disk did not answer.
  [[nodiscard]] std::optional<SpoolId> last_id() const;

  /// A copy of a record.
  [[nodiscard]] ReadResult read(SpoolId id) const;

  /// As list(), with what can be told of the records without their payloads.
  [[nodiscard]] std::optional<std::vector<RecordInfo>> describe(SpoolId after,
                                                                std::size_t max) const;
  /// The bytes of a record as they stand in the spool (docs/spool-format.md), whatever they are: up
  /// to `max_bytes` from `offset` on.
  static constexpr std::size_t kWholeRecord = std::size_t{1} << 30;  // more than MQTT carries
  [[nodiscard]] RawResult read_raw(SpoolId id, std::size_t offset, std::size_t max_bytes) const;

  /// As describe() and read_raw(), of the dead letters.
  [[nodiscard]] std::optional<std::vector<LetterInfo>> describe_letters(SpoolId after,
                                                                        std::size_t max) const;
  /// The latest of them, the newest first.
  [[nodiscard]] std::optional<std::vector<LetterInfo>> latest_letters(std::size_t max) const;
  [[nodiscard]] RawResult read_letter(SpoolId id, std::size_t offset, std::size_t max_bytes) const;
  /// The first bytes of a dead letter's payload, for showing: nothing proves that they are what was
  /// received.
  [[nodiscard]] PayloadRead read_letter_payload(SpoolId id, std::size_t max_bytes) const;

  /// The keys that it was opened with.
  [[nodiscard]] const KeyRing& keys() const noexcept;

  /// Replays or drops dead letters. Each letter is at any time in one of the places that the
  /// accounts know, whatever crashes; nothing is moved after close().
  [[nodiscard]] std::future<LettersMoved> move_letters(LetterMove move, std::vector<SpoolId> ids);

  /// `listener` is called by the writer thread after each commit that added records; it must not
  /// block, nor set another one. The one before is not called any more once this returns.
  void set_append_listener(std::function<void()> listener);

  /// Keeps a small text under a name across restarts; the ticket as for append().
  [[nodiscard]] std::future<Durability> write_note(std::string name, std::string text);
  [[nodiscard]] NoteRead read_note(const std::string& name) const;

  [[nodiscard]] SpoolTotals totals() const;
  [[nodiscard]] Intake intake() const;
  /// Since when the spool takes no messages, moments apart in which it took some; nothing while it
  /// takes them.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> closed_since() const;
  /// Nothing when the disk did not answer.
  [[nodiscard]] std::optional<SpoolRoom> room() const;
  /// Whether a message with a payload of that size would be taken now.
  [[nodiscard]] bool has_room_for(std::uint64_t payload_bytes) const;
  /// Rises as long as the disk takes anything.
  [[nodiscard]] std::uint64_t progress() const noexcept;
  /// When the oldest waiting record was received; nothing when none waits.
  [[nodiscard]] std::optional<WallTime> oldest_received_at() const;
  [[nodiscard]] const DurationHistogram& commit_time() const noexcept;
  /// Damaged files that are kept in `set-aside`.
  [[nodiscard]] std::uint64_t files_set_aside() const;
  /// Dead letters that are kept, by count.
  [[nodiscard]] std::uint64_t dead_letters_kept() const;
  /// For being over DEAD_LETTER_MAX_BYTES or DEAD_LETTER_MAX_AGE.
  [[nodiscard]] LettersDropped dead_letters_dropped() const;

  /// The writer's thread shows in its pulse that it still goes round, once it is poked.
  [[nodiscard]] const Pulse& pulse() const noexcept;
  void poke();

  /// Commits the removals that wait, ends open tickets as closed and stops the writer: from now
  /// on the spool is only read. Idempotent; the destructor calls it.
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
