#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "m2b/util/repetition.hpp"
#include "spool/capacity.hpp"
#include "spool/dead_letters.hpp"
#include "spool/record_env.hpp"

namespace m2b {

/// Takes letters out of the dead letters: back into the queue, or away for good. Two environments
/// cannot share a transaction, so the accounts change first, together with a note of the ids that
/// are about to leave; then the letters go. A crash in between is mended from the note.
///
/// For the one thread that writes the spool. Throws lmdb::Error.
class LetterMover {
 public:
  /// The references outlive it. Settles what a crash left.
  LetterMover(const LetterLimits& limits, RecordEnv& records, DeadLetters& dead_letters);

  /// Ends a move that was interrupted, and makes the account agree with what is kept; also after
  /// either environment was opened again.
  void settle();

  /// The letter of this id is about to be written in several transactions. If it is not whole when
  /// settle() is called, what there is of it goes.
  void note_incomplete(SpoolId id);

  /// `moved` tells how far it came, also when it throws.
  void move(LetterMove move, std::vector<SpoolId> ids, LettersMoved& moved);

  /// Drops what is over the limits, the oldest first, and says so in the log. Returns how many. All
  /// ages have to be read for theirs, so that is only done on demand.
  std::uint64_t enforce_limits(bool look_at_ages);

 private:
  using Ids = std::vector<SpoolId>;

  void keep_ids_apart();
  void erase_leaving();
  void erase_incomplete();
  void leave(RecordEnv::Batch batch, Ids ids);
  [[nodiscard]] Ids over_max_bytes() const;
  [[nodiscard]] Ids over_max_age() const;
  [[nodiscard]] std::uint64_t count_waiting() const;
  std::size_t replay(const Ids& ids, std::size_t first, LettersMoved& moved);
  void replay_large(RecordEnv::Batch batch, SpoolId id, LettersMoved& moved);
  [[nodiscard]] bool is_replayable(SpoolId id, const std::optional<RecordHeader>& header,
                                   bool intact, LettersMoved& moved) const;
  std::size_t take(LetterMove move, const Ids& ids, std::size_t first, LettersMoved& moved);

  const LetterLimits limits_;
  RecordEnv& records_;
  DeadLetters& dead_letters_;
  Ids leaving_;  // their accounts have changed already
  Repetition drop_lines_;
  std::uint64_t unsaid_drops_ = 0;
};

}  // namespace m2b
