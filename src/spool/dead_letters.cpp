#include "spool/dead_letters.hpp"

#include <cstring>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "spool/little_endian.hpp"
#include "spool/record_codec.hpp"

namespace m2b {
namespace {

constexpr const char* kLetters = "records";
constexpr const char* kReasons = "reasons";

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

}  // namespace

DeadLetters::DeadLetters(std::filesystem::path directory, std::uint64_t map_bytes, KeyRing keys)
    : env_({.folder = std::move(directory),
            .map_bytes = map_bytes,
            .databases = {{kLetters, MDB_INTEGERKEY}, {kReasons, MDB_INTEGERKEY}}}),
      keys_(std::move(keys)) {
  fail_point("start.dead_letters_opened");
}

DeadLetters::Databases::Databases(const lmdb::Txn& txn, const std::filesystem::path&)
    : records(txn, kLetters),
      reasons(lmdb::open_database(txn, kReasons, MDB_CREATE | MDB_INTEGERKEY)) {}

void DeadLetters::add(const std::vector<DeadLetter>& letters) {
  auto env = env_.write();
  for (const DeadLetter& letter : letters) {
    env->records.replace(env.txn(), letter.id, letter.raw);
    lmdb::put(env.txn(), env->reasons, Key(letter.id).bytes(),
              encode_reason(letter.rejection, wall_now(), keys_.encrypting()));
  }
  std::move(env).commit();
}

void DeadLetters::erase(const std::vector<SpoolId>& ids) {
  auto env = env_.write();
  for (const SpoolId id : ids) {
    env->records.erase(env.txn(), id);
    lmdb::erase(env.txn(), env->reasons, Key(id).bytes());
  }
  std::move(env).commit();
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
         lmdb::used_bytes(env.txn(), env->reasons);
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
