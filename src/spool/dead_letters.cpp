#include "spool/dead_letters.hpp"

#include <cerrno>

#include "spool/little_endian.hpp"
#include "spool/record_codec.hpp"

namespace m2b {
namespace {

constexpr const char* kRecords = "records";
constexpr const char* kReasons = "reasons";

// A reason: version, reason, time, then the detail as text.
constexpr std::uint8_t kReasonVersion = 1;
constexpr std::size_t kReasonHeaderBytes = 10;

std::string encode_reason(const Rejection& rejection, WallTime added_at) {
  std::string bytes(kReasonHeaderBytes, '\0');
  store_le(&bytes[0], kReasonVersion);
  store_le(&bytes[1], static_cast<std::uint8_t>(rejection.reason));
  store_le(&bytes[2], static_cast<std::uint64_t>(added_at.time_since_epoch().count()));
  return bytes + rejection.detail;
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

DeadLetters::DeadLetters(std::filesystem::path directory, std::uint64_t map_bytes)
    : directory_(std::move(directory)),
      map_bytes_(map_bytes),
      opened_(open(directory_, map_bytes_, lmdb::File::Scrutiny::trees)) {}

DeadLetters::Opened DeadLetters::open(const std::filesystem::path& directory,
                                      std::uint64_t map_bytes, lmdb::File::Scrutiny scrutiny) {
  mend({.folder = directory,
        .map_bytes = map_bytes,
        .databases = {{kRecords, MDB_INTEGERKEY}, {kReasons, MDB_INTEGERKEY}}},
       scrutiny);
  lmdb::EnvHandle env = lmdb::open_env(directory, map_bytes);
  lmdb::Txn txn = lmdb::Txn::write(env.get());
  const PieceStore records(txn, kRecords);
  const MDB_dbi reasons = lmdb::open_database(txn, kReasons, MDB_CREATE | MDB_INTEGERKEY);
  std::move(txn).commit();
  mark_made(directory);
  return {std::move(env), records, reasons};
}

MDB_env* DeadLetters::env() const {
  if (!opened_.env) {
    throw lmdb::Error("dead-letter environment", EIO);
  }
  return opened_.env.get();
}

void DeadLetters::reopen() {
  opened_.env.reset();  // LMDB must not have one file open twice in a process
  opened_ = open(directory_, map_bytes_, lmdb::File::Scrutiny::values);
}

void DeadLetters::add(const std::vector<DeadLetter>& letters) {
  lmdb::Txn txn = lmdb::Txn::write(env());
  for (const DeadLetter& letter : letters) {
    opened_.records.replace(txn, letter.id, letter.raw);
    lmdb::put(txn, opened_.reasons, Key(letter.id).bytes(),
              encode_reason(letter.rejection, wall_now()));
  }
  std::move(txn).commit();
}

std::uint64_t DeadLetters::count() const {
  const lmdb::Txn txn = lmdb::Txn::read(env());
  MDB_stat stat{};
  lmdb::check(mdb_stat(txn.get(), opened_.reasons, &stat), "mdb_stat");
  return stat.ms_entries;
}

std::optional<DeadLetters::Kept> DeadLetters::find(SpoolId id) const {
  const lmdb::Txn txn = lmdb::Txn::read(env());
  const auto reason = lmdb::get(txn, opened_.reasons, Key(id).bytes());
  constexpr std::size_t kMaxBytes =
      RecordHeader::kBytes + RecordHeader::kMaxTopicBytes + RecordHeader::kMaxPayloadBytes;
  const auto value = opened_.records.read(txn, id, kMaxBytes, 0);
  if (!reason || reason->size() < kReasonHeaderBytes || !value) {
    return std::nullopt;
  }
  const auto added_at = static_cast<std::int64_t>(load_le<std::uint64_t>(&(*reason)[2]));
  return Kept{{static_cast<DeadLetterReason>(load_le<std::uint8_t>(&(*reason)[1])),
               std::string(reason->substr(kReasonHeaderBytes))},
              WallTime(std::chrono::milliseconds(added_at)),
              std::string(value->buffer.get(), value->bytes)};
}

}  // namespace m2b
