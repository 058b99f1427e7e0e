#include "spool/letter_mover.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "m2b/spool/record_info.hpp"
#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"

namespace m2b {
namespace {

constexpr std::string_view kLeavingNote = "dead_letters.leaving";
constexpr std::string_view kIncompleteNote = "dead_letters.incomplete";
constexpr std::size_t kMaxIds = 1000;  // in one transaction
constexpr std::size_t kMaxReplayBytes = std::size_t{8} << 20;

std::string encode(const std::vector<SpoolId>& ids) {
  std::vector<std::uint64_t> numbers;
  std::ranges::transform(ids, std::back_inserter(numbers), to_number);
  return fmt::format("{}", fmt::join(numbers, ","));
}

std::vector<SpoolId> decode(std::string_view text) {
  std::vector<SpoolId> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  std::uint64_t number = 0;
  while (at < end) {
    const auto [rest, error] = std::from_chars(at, end, number);
    if (error != std::errc()) {
      break;
    }
    ids.push_back(SpoolId{number});
    at = rest + 1;  // behind the comma
  }
  return ids;
}

/// The bytes of a letter, one after the other.
class LetterReader {
 public:
  LetterReader(const DeadLetters& letters, SpoolId id) : letters_(letters), id_(id) {}

  [[nodiscard]] std::optional<RecordHeader> header() const {
    return decode_header(letters_.read_raw(id_, 0, RecordHeader::kBytes).value_or(""));
  }

  /// Reads all of it once.
  [[nodiscard]] bool is_intact() const {
    const auto header = this->header();
    if (!header || letters_.bytes_of(id_) != header->record_bytes()) {
      return false;
    }
    const std::string bytes = letters_.read_raw(id_, 0, RecordHeader::kBytes).value();
    RecordChecksum checksum(id_, bytes);
    std::size_t skip = RecordHeader::kBytes;
    std::optional<std::uint64_t> next = 0;
    while (next) {
      next = letters_.visit_pieces(id_, *next, kPiecesAtATime, [&](std::string_view piece) {
        checksum.add(piece.substr(std::exchange(skip, 0)));
      });
    }
    return checksum.value() == header->checksum;
  }

  /// What comes next behind the header.
  void read(std::span<char> to) {
    const auto bytes = letters_.read_raw(id_, at_, to.size());
    if (!bytes || bytes->size() != to.size()) {
      throw lmdb::Error("bytes of a dead letter", MDB_CORRUPTED);
    }
    std::copy(bytes->begin(), bytes->end(), to.begin());
    at_ += to.size();
  }

 private:
  static constexpr std::size_t kPiecesAtATime = kMaxTransactionBytes / PieceStore::kPieceBytes;

  const DeadLetters& letters_;
  const SpoolId id_;
  std::size_t at_ = RecordHeader::kBytes;
};

}  // namespace

LetterMover::LetterMover(const LetterLimits& limits, RecordEnv& records, DeadLetters& dead_letters)
    : limits_(limits), records_(records), dead_letters_(dead_letters) {
  settle();
}

void LetterMover::settle() {
  leaving_ = decode(records_.note(kLeavingNote).value_or(""));
  erase_leaving();
  erase_incomplete();
  keep_ids_apart();
  const std::uint64_t account = records_.totals().dead_lettered;
  const std::uint64_t kept = dead_letters_.count();
  const std::uint64_t waiting = count_waiting();
  if (kept - waiting == account) {
    return;
  }
  log::warn("spool", "the account of the dead letters was not right, and is put right",
            {{"account", account}, {"kept", kept}, {"waiting", waiting}});
  RecordEnv::Batch batch(records_);
  batch.settle_letters(kept, waiting);
  static_cast<void>(std::move(batch).commit());
}

/// Accounts that began anew may give the ids of letters once more, and a letter replaces one of the
/// same id.
void LetterMover::keep_ids_apart() {
  constexpr std::uint64_t kMaxId = std::uint64_t{1} << 47U;  // a higher one is damage
  const std::vector<LetterInfo> newest = dead_letters_.latest(1);
  if (!newest.empty() && newest.front().record.id > records_.last_id() &&
      to_number(newest.front().record.id) < kMaxId) {
    RecordEnv::Batch batch(records_);
    batch.skip_ids(newest.front().record.id);
    static_cast<void>(std::move(batch).commit());
  }
}

void LetterMover::note_incomplete(SpoolId id) {
  RecordEnv::Batch batch(records_);
  batch.put_note(kIncompleteNote, encode({id}));
  static_cast<void>(std::move(batch).commit());
}

/// Its record is still in the spool. A letter that lost its reason by damage later on is no such
/// one, so the note goes as well.
void LetterMover::erase_incomplete() {
  const Ids incomplete = decode(records_.note(kIncompleteNote).value_or(""));
  if (incomplete.empty()) {
    return;
  }
  if (!dead_letters_.contains(incomplete.front())) {
    dead_letters_.erase(incomplete);
  }
  RecordEnv::Batch batch(records_);
  batch.put_note(kIncompleteNote, "");
  static_cast<void>(std::move(batch).commit());
}

/// Letters whose records still wait, and count there: a crash came before the record's removal, or
/// damage brought the record back.
std::uint64_t LetterMover::count_waiting() const {
  const std::vector<SpoolEntry> first = records_.list(SpoolId{0}, 1);
  if (first.empty()) {
    return 0;
  }
  std::uint64_t count = 0;
  SpoolId after{to_number(first.front().id) - 1};
  for (auto letters = dead_letters_.list(after, kMaxIds); !letters.empty();
       letters = dead_letters_.list(after, kMaxIds)) {
    for (const LetterInfo& letter : letters) {
      count += records_.contains(letter.record.id) ? 1 : 0;
    }
    after = letters.back().record.id;
  }
  return count;
}

void LetterMover::erase_leaving() {
  if (!leaving_.empty()) {
    dead_letters_.erase(leaving_);
    leaving_.clear();
  }
}

void LetterMover::leave(RecordEnv::Batch batch, Ids ids) {
  batch.put_note(kLeavingNote, encode(ids));
  fail_point("letters.before_note");
  static_cast<void>(std::move(batch).commit());
  fail_point("letters.noted");
  leaving_ = std::move(ids);
  erase_leaving();
}

void LetterMover::move(LetterMove move, Ids ids, LettersMoved& moved) {
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  erase_leaving();
  for (std::size_t done = 0; done < ids.size();) {
    done = move == LetterMove::replay ? replay(ids, done, moved) : take(move, ids, done, moved);
  }
}

/// As many as fit into one transaction; returns which comes next.
std::size_t LetterMover::replay(const Ids& ids, std::size_t first, LettersMoved& moved) {
  RecordEnv::Batch batch(records_);
  Ids back;
  SpoolId first_id{};  // the ids are given one after the other
  std::size_t bytes = 0;
  std::size_t next = first;
  for (; next < ids.size() && back.size() < kMaxIds && bytes < kMaxReplayBytes; ++next) {
    const SpoolId id = ids[next];
    if (batch.contains(id)) {
      continue;
    }
    if (dead_letters_.bytes_of(id) > kMaxTransactionBytes) {
      if (!back.empty()) {
        break;
      }
      replay_large(std::move(batch), id, moved);
      return next + 1;
    }
    auto raw = dead_letters_.read_raw(id);
    if (!raw) {
      continue;
    }
    const auto header = decode_header(*raw);
    if (!is_replayable(id, header, header && checksum_matches(id, *header, *raw), moved)) {
      continue;
    }
    bytes += raw->size();
    const SpoolId given = batch.put_back(*std::move(raw));
    first_id = back.empty() ? given : first_id;
    back.push_back(id);
  }
  const std::size_t count = back.size();
  if (count > 0) {
    leave(std::move(batch), Ids(back));
  }
  if (log::enabled(log::Level::debug)) {
    for (std::size_t i = 0; i < count; ++i) {
      log::debug("spool", "dead letter waits again",
                 {{"id", to_number(first_id) + i}, {"dead_letter", to_number(back[i])}});
    }
  }
  moved.moved += count;
  return next;
}

bool LetterMover::is_replayable(SpoolId id, const std::optional<RecordHeader>& header, bool intact,
                                LettersMoved& moved) const {
  if (!intact) {
    moved.damaged.push_back(id);
    return false;
  }
  if (header->key && records_.keys().find(*header->key) == nullptr) {
    // In the queue it would hold up all that come after it.
    moved.failure =
        fmt::format("dead letter {} is {}", to_number(id), missing_key_text(*header->key));
    return false;
  }
  return true;
}

/// One that is too large for one transaction: it is back with the last of several.
void LetterMover::replay_large(RecordEnv::Batch batch, SpoolId id, LettersMoved& moved) {
  LetterReader reader(dead_letters_, id);
  const auto header = reader.header();
  if (!is_replayable(id, header, header && reader.is_intact(), moved)) {
    return;
  }
  LargeRecord record([&](SpoolId given, const EncryptionKey* key) {
    return RecordStream(
        given, *header, [&](std::span<char> to) { reader.read(to); }, key);
  });
  std::optional<RecordEnv::Batch> part(std::move(batch));
  auto given = part->append_part(record);
  while (!given) {
    static_cast<void>(std::move(*part).commit());
    part.reset();
    part.emplace(records_);
    given = part->append_part(record);
  }
  part->count_put_back();
  leave(*std::move(part), {id});
  log::debug("spool", "dead letter waits again",
             {{"id", to_number(*given)}, {"dead_letter", to_number(id)}});
  moved.moved += 1;
}

std::size_t LetterMover::take(LetterMove move, const Ids& ids, std::size_t first,
                              LettersMoved& moved) {
  Ids present;
  std::size_t next = first;
  for (; next < ids.size() && present.size() < kMaxIds; ++next) {
    if (dead_letters_.contains(ids[next]) && !records_.contains(ids[next])) {
      present.push_back(ids[next]);
    }
  }
  if (present.empty()) {
    return next;
  }
  const std::size_t count = present.size();
  RecordEnv::Batch batch(records_);
  if (move == LetterMove::stored) {
    batch.store_letters(count);
  } else {
    batch.drop_letters(count);
  }
  leave(std::move(batch), Ids(present));
  if (log::enabled(log::Level::debug)) {
    for (const SpoolId id : present) {
      log::debug("spool", "dead letter left",
                 {{"id", to_number(id)}, {"to", move == LetterMove::stored ? "store" : "nowhere"}});
    }
  }
  moved.moved += count;
  return next;
}

LetterMover::Ids LetterMover::over_max_bytes() const {
  const std::uint64_t used = dead_letters_.used_bytes();
  std::uint64_t too_much =
      limits_.max_bytes != 0 && used > limits_.max_bytes ? used - limits_.max_bytes : 0;
  Ids ids;
  if (too_much == 0) {
    return ids;
  }
  for (const LetterInfo& letter : dead_letters_.list(SpoolId{0}, kMaxIds)) {
    if (too_much == 0) {
      break;
    }
    if (!records_.contains(letter.record.id)) {
      ids.push_back(letter.record.id);
      too_much -= std::min<std::uint64_t>(too_much, letter.record.bytes);
    }
  }
  return ids;
}

LetterMover::Ids LetterMover::over_max_age() const {
  if (limits_.max_age.count() == 0) {
    return {};
  }
  Ids ids = dead_letters_.older_than(limits_.max_age, kMaxIds);
  std::erase_if(ids, [&](SpoolId id) { return records_.contains(id); });
  return ids;
}

std::uint64_t LetterMover::enforce_limits(bool look_at_ages) {
  LettersMoved dropped;
  for (Ids ids = over_max_bytes(); !ids.empty(); ids = over_max_bytes()) {
    move(LetterMove::drop, std::move(ids), dropped);
  }
  while (look_at_ages) {
    Ids ids = over_max_age();
    if (ids.empty()) {
      break;
    }
    move(LetterMove::drop, std::move(ids), dropped);
  }
  unsaid_drops_ += dropped.moved;  // where bad messages keep coming, each drops one
  if (dropped.moved > 0 && drop_lines_.admit("drop")) {
    log::error("spool",
               "dead letters were dropped, the oldest first: over DEAD_LETTER_MAX_BYTES or "
               "DEAD_LETTER_MAX_AGE",
               {{"dropped", std::exchange(unsaid_drops_, 0)},
                {"kept", dead_letters_.count()},
                {"max_bytes", limits_.max_bytes},
                {"max_age_seconds", limits_.max_age.count()}});
  }
  return dropped.moved;
}

}  // namespace m2b
