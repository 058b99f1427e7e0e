#include "spool/dead_letters.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "spool/large_record.hpp"
#include "spool/little_endian.hpp"
#include "spool/record_codec.hpp"
#include "spool/sealed.hpp"

namespace m2b {
namespace {

constexpr const char* kLetters = "records";
constexpr const char* kReasons = "reasons";
constexpr const char* kAges = "ages";

// A reason: version, reason, time, then the detail as text or, behind the id of the key, encrypted.
constexpr std::uint8_t kPlainVersion = 1;
constexpr std::uint8_t kEncryptedVersion = 2;
constexpr std::size_t kPlainHeaderBytes = 10;
constexpr std::size_t kMostBeforePayload =
    RecordHeader::kBytes + cipher::kSaltBytes + RecordHeader::kMaxTopicBytes;
constexpr std::size_t kEncryptedHeaderBytes = kPlainHeaderBytes + sizeof(KeyId);

std::string encode_reason(const Rejection& rejection, WallTime added_at, const EncryptionKey* key) {
  std::string bytes(key != nullptr ? kEncryptedHeaderBytes : kPlainHeaderBytes, '\0');
  store_le(&bytes[0], key != nullptr ? kEncryptedVersion : kPlainVersion);
  store_le(&bytes[1], static_cast<std::uint8_t>(rejection.reason));
  store_le(&bytes[2], static_cast<std::uint64_t>(added_at.time_since_epoch().count()));
  if (key == nullptr) {
    return bytes + rejection.detail;
  }
  store_le(&bytes[kPlainHeaderBytes], static_cast<std::uint32_t>(key->id()));
  return bytes + cipher::encrypt(*key, bytes, {rejection.detail});
}

/// Empty where its key is not at hand, or where it is damaged.
std::string detail_of(std::string_view reason, const KeyRing& keys) {
  if (load_le<std::uint8_t>(reason.data()) != kEncryptedVersion) {
    return std::string(reason.substr(kPlainHeaderBytes));
  }
  if (reason.size() < kEncryptedHeaderBytes + cipher::kOverheadBytes) {
    return "";
  }
  const EncryptionKey* const key =
      keys.find(KeyId{load_le<std::uint32_t>(&reason[kPlainHeaderBytes])});
  std::string encrypted(reason.substr(kEncryptedHeaderBytes));
  if (key == nullptr ||
      !cipher::decrypt(*key, reason.substr(0, kEncryptedHeaderBytes), encrypted)) {
    return "";
  }
  return encrypted.substr(cipher::kSaltBytes, encrypted.size() - cipher::kOverheadBytes);
}

/// MDB_INTEGERKEY: a native integer, so that letters are listed in order of arrival.
class Key {
 public:
  explicit Key(SpoolId id) : number_(to_number(id)) {}
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {reinterpret_cast<const char*>(&number_), sizeof number_};
  }

 private:
  std::uint64_t number_;
};

std::string encode_time(std::chrono::milliseconds time) {
  std::string bytes(sizeof(std::uint64_t), '\0');
  store_le(bytes.data(), static_cast<std::uint64_t>(time.count()));
  return sealed::seal(bytes);
}

/// Calls `visit` with the entries of a database in the order of their ids, until it gives false.
template <class Visit>
void each_id(const lmdb::Txn& txn, MDB_dbi dbi, Visit visit) {
  const lmdb::CursorHandle cursor = lmdb::open_cursor(txn, dbi);
  MDB_val key{};
  MDB_val value{};
  int code = MDB_SUCCESS;
  while ((code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
    const auto id = DeadLetters::id_of(lmdb::to_view(key));
    if (id && !visit(*id, lmdb::to_view(value))) {
      return;
    }
  }
  if (code != MDB_NOTFOUND) {
    lmdb::check(code, "mdb_cursor_get");
  }
}

}  // namespace

DeadLetters::DeadLetters(std::filesystem::path directory, std::uint64_t map_bytes, KeyRing keys,
                         RunningTime::Now now)
    : env_({.folder = std::move(directory),
            .map_bytes = map_bytes,
            .databases = {{kLetters, MDB_INTEGERKEY},
                          {kReasons, MDB_INTEGERKEY},
                          {kAges, MDB_INTEGERKEY}}}),
      keys_(std::move(keys)),
      running_time_(kept_running_time(), std::move(now)) {
  fail_point("start.dead_letters_opened");
}

DeadLetters::Databases::Databases(const lmdb::Txn& txn, const std::filesystem::path&)
    : records(txn, kLetters),
      reasons(lmdb::open_database(txn, kReasons, MDB_CREATE | MDB_INTEGERKEY)),
      ages(lmdb::open_database(txn, kAges, MDB_CREATE | MDB_INTEGERKEY)) {}

void DeadLetters::add(const std::vector<DeadLetter>& letters) {
  auto env = env_.write();
  for (const DeadLetter& letter : letters) {
    env->records.replace(env.txn(), letter.id, letter.raw);
    make_letter(env.txn(), *env, letter.id, letter.rejection);
  }
  std::move(env).commit();
}

/// The record that is there becomes a letter, from now on.
void DeadLetters::make_letter(const lmdb::Txn& txn, const Databases& databases, SpoolId id,
                              const Rejection& rejection) const {
  const std::string now = encode_time(running_time_.total());
  lmdb::put(txn, databases.reasons, Key(id).bytes(),
            encode_reason(rejection, wall_now(), keys_.encrypting()));
  lmdb::put(txn, databases.ages, Key(id).bytes(), now);
  lmdb::put(txn, databases.ages, Key(kRunningTime).bytes(), now);
}

bool DeadLetters::add_part(SpoolId id, const Rejection& rejection, LargeCopy& copy,
                           const VisitRecord& visit) {
  LargeCopy now = copy;
  // Copied first: whoever moves letters holds the records' lock before this environment's.
  std::vector<std::string> pieces;
  now.next_piece = visit(*now.next_piece, kMaxTransactionBytes / PieceStore::kPieceBytes,
                         [&](std::string_view piece) { pieces.emplace_back(piece); });
  auto env = env_.write();
  if (now.written == 0) {
    erase_one(env.txn(), *env, id);
  } else if (env->records.bytes_of(env.txn(), id) != now.bytes) {
    throw lmdb::Error("the part before of a dead letter", MDB_NOTFOUND);
  }
  for (const std::string& piece : pieces) {
    now.bytes += piece.size();
    env->records.put_piece(env.txn(), id, now.written++, piece.size(), [&](std::span<char> to) {
      std::copy(piece.begin(), piece.end(), to.begin());
    });
  }
  if (!now.next_piece) {
    make_letter(env.txn(), *env, id, rejection);
  }
  std::move(env).commit();
  copy = now;
  return !copy.next_piece;
}

void DeadLetters::erase(const std::vector<SpoolId>& ids) {
  auto env = env_.write();
  for (const SpoolId id : ids) {
    erase_one(env.txn(), *env, id);
  }
  std::move(env).commit();
}

void DeadLetters::erase_one(const lmdb::Txn& txn, const Databases& databases, SpoolId id) {
  databases.records.erase(txn, id);
  lmdb::erase(txn, databases.reasons, Key(id).bytes());
  lmdb::erase(txn, databases.ages, Key(id).bytes());
}

void DeadLetters::keep_running_time() {
  if (count() == 0) {
    return;
  }
  auto env = env_.write();
  const std::string now = encode_time(running_time_.total());
  each_id(env.txn(), env->reasons, [&](SpoolId id, std::string_view) {
    if (!made_at(env.txn(), env->ages, id)) {
      lmdb::put(env.txn(), env->ages, Key(id).bytes(), now);
    }
    return true;
  });
  lmdb::put(env.txn(), env->ages, Key(kRunningTime).bytes(), now);
  std::move(env).commit();
}

std::vector<SpoolId> DeadLetters::older_than(std::chrono::milliseconds age, std::size_t max) const {
  std::vector<SpoolId> ids;
  const std::chrono::milliseconds latest = running_time_.total() - age;
  const auto env = env_.read();
  each_id(env.txn(), env->ages, [&](SpoolId id, std::string_view value) {
    const auto made_at = running_time_of(value);
    if (id != kRunningTime && made_at && *made_at < latest) {
      ids.push_back(id);
    }
    return ids.size() < max;
  });
  return ids;
}

/// No letter is from the future, even where damage took what was kept last.
std::chrono::milliseconds DeadLetters::kept_running_time() const {
  std::chrono::milliseconds latest{0};
  const auto env = env_.read();
  each_id(env.txn(), env->ages, [&](SpoolId, std::string_view value) {
    latest = std::max(latest, running_time_of(value).value_or(latest));
    return true;
  });
  return latest;
}

std::optional<std::chrono::milliseconds> DeadLetters::made_at(const lmdb::Txn& txn, MDB_dbi ages,
                                                              SpoolId id) {
  const auto value = lmdb::get(txn, ages, Key(id).bytes());
  return value ? running_time_of(*value) : std::nullopt;
}

std::optional<std::chrono::milliseconds> DeadLetters::running_time_of(std::string_view value) {
  const auto bytes = sealed::open(value);
  if (!bytes || bytes->size() != sizeof(std::uint64_t)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(load_le<std::uint64_t>(bytes->data())));
}

std::uint64_t DeadLetters::count() const {
  const auto env = env_.read();
  MDB_stat stat{};
  lmdb::check(mdb_stat(env.txn().get(), env->reasons, &stat), "mdb_stat");
  return stat.ms_entries;
}

std::optional<SpoolId> DeadLetters::id_of(std::string_view key) noexcept {
  std::uint64_t number = 0;
  if (key.size() != sizeof number) {
    return std::nullopt;  // only damage can make such a key
  }
  std::memcpy(&number, key.data(), sizeof number);
  return SpoolId{number};
}

bool DeadLetters::contains(SpoolId id) const {
  const auto env = env_.read();
  return lmdb::get(env.txn(), env->reasons, Key(id).bytes()).has_value();
}

std::uint64_t DeadLetters::used_bytes() const {
  const auto env = env_.read();
  return lmdb::used_bytes(env.txn(), env->records.dbi()) +
         lmdb::used_bytes(env.txn(), env->reasons) + lmdb::used_bytes(env.txn(), env->ages);
}

std::vector<LetterInfo> DeadLetters::list(SpoolId after, std::size_t max) const {
  const Key from(SpoolId{to_number(after) + 1});
  return walk(lmdb::to_val(from.bytes()), MDB_SET_RANGE, MDB_NEXT, max);
}

std::vector<LetterInfo> DeadLetters::latest(std::size_t max) const {
  return walk({}, MDB_LAST, MDB_PREV, max);
}

std::vector<LetterInfo> DeadLetters::walk(MDB_val key, MDB_cursor_op first_step,
                                          MDB_cursor_op next_step, std::size_t max) const {
  const auto env = env_.read();
  const lmdb::CursorHandle cursor = lmdb::open_cursor(env.txn(), env->reasons);
  MDB_val value{};
  std::vector<LetterInfo> letters;
  int code = mdb_cursor_get(cursor.get(), &key, &value, first_step);
  while (code == MDB_SUCCESS && letters.size() < max) {
    if (const auto id = id_of(lmdb::to_view(key))) {
      const std::string_view first = env->records.first_piece(env.txn(), *id).value_or("");
      letters.push_back(describe_letter(*id, lmdb::to_view(value), first, keys_));
      letters.back().record.bytes = env->records.bytes_of(env.txn(), *id);
      if (const auto made_at = DeadLetters::made_at(env.txn(), env->ages, *id)) {
        letters.back().age = running_time_.total() - *made_at;
      }
    }
    code = mdb_cursor_get(cursor.get(), &key, &value, next_step);
  }
  if (code != MDB_SUCCESS && code != MDB_NOTFOUND) {
    lmdb::check(code, "mdb_cursor_get");
  }
  return letters;
}

std::optional<std::string> DeadLetters::read_raw(SpoolId id, std::size_t offset,
                                                 std::size_t max_bytes) const {
  const auto env = env_.read();
  return env->records.read_range(env.txn(), id, offset, max_bytes);
}

std::optional<std::uint64_t> DeadLetters::visit_pieces(SpoolId id, std::uint64_t first,
                                                       std::size_t max_pieces,
                                                       const PieceStore::VisitPiece& visit) const {
  const auto env = env_.read();
  return env->records.visit(env.txn(), id, first, max_pieces, visit);
}

std::uint64_t DeadLetters::bytes_of(SpoolId id) const {
  const auto env = env_.read();
  return env->records.bytes_of(env.txn(), id);
}

std::optional<std::variant<std::string, KeyMissing>> DeadLetters::payload_beginning(
    SpoolId id, std::size_t max_bytes) const {
  const auto beginning = read_raw(id, 0, max_bytes + kMostBeforePayload);
  return beginning ? std::optional(m2b::payload_beginning(*beginning, max_bytes, keys_))
                   : std::nullopt;
}

LetterInfo describe_letter(SpoolId id, std::string_view reason, std::string_view beginning,
                           const KeyRing& keys) {
  LetterInfo letter{describe_record(id, beginning, keys), {DeadLetterReason::damaged, ""}, {}};
  if (reason.size() >= kPlainHeaderBytes) {
    const auto buried_at = static_cast<std::int64_t>(load_le<std::uint64_t>(&reason[2]));
    letter.rejection = {static_cast<DeadLetterReason>(load_le<std::uint8_t>(&reason[1])),
                        detail_of(reason, keys)};
    letter.buried_at = WallTime(std::chrono::milliseconds(buried_at));
  }
  return letter;
}

}  // namespace m2b
