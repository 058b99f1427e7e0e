#include "spool/record_env.hpp"

#include <array>
#include <cerrno>
#include <mutex>

#include "spool/little_endian.hpp"
#include "spool/record_codec.hpp"

namespace m2b {
namespace {

constexpr std::string_view kTotalsKey = "totals";
constexpr std::size_t kTotalsFields = 4;
using TotalsBytes = std::array<char, kTotalsFields * sizeof(std::uint64_t)>;

TotalsBytes encode(const SpoolTotals& totals) {
  TotalsBytes bytes{};
  store_le(&bytes[0], totals.received);
  store_le(&bytes[8], totals.stored);
  store_le(&bytes[16], totals.dead_lettered);
  store_le(&bytes[24], totals.waiting_bytes);
  return bytes;
}

SpoolTotals decode(std::string_view bytes) {
  if (bytes.size() < TotalsBytes{}.size()) {
    throw lmdb::Error("accounts of the spool", MDB_CORRUPTED);
  }
  return {.received = load_le<std::uint64_t>(&bytes[0]),
          .stored = load_le<std::uint64_t>(&bytes[8]),
          .dead_lettered = load_le<std::uint64_t>(&bytes[16]),
          .waiting_bytes = load_le<std::uint64_t>(&bytes[24])};
}

SpoolId next(SpoolId id) { return SpoolId{to_number(id) + 1}; }

}  // namespace

RecordEnv::RecordEnv(std::filesystem::path directory, std::uint64_t map_bytes)
    : directory_(std::move(directory)),
      map_bytes_(map_bytes),
      opened_(open(directory_, map_bytes_)) {}

RecordEnv::Opened RecordEnv::open(const std::filesystem::path& directory, std::uint64_t map_bytes) {
  lmdb::EnvHandle env = lmdb::open_env(directory, map_bytes);
  lmdb::Txn txn = lmdb::Txn::write(env.get());
  const PieceStore records(txn, "records");
  const MDB_dbi accounts = lmdb::open_database(txn, "accounts", MDB_CREATE);
  const MDB_dbi notes = lmdb::open_database(txn, "notes", MDB_CREATE);
  if (!lmdb::get(txn, accounts, kTotalsKey)) {
    const TotalsBytes none = encode({});
    lmdb::put(txn, accounts, kTotalsKey, {none.data(), none.size()});
  }
  std::move(txn).commit();
  return {std::move(env), records, accounts, notes};
}

MDB_env* RecordEnv::env() const {
  if (!opened_.env) {
    throw lmdb::Error("spool environment", EIO);
  }
  return opened_.env.get();
}

bool RecordEnv::is_open() const {
  const std::shared_lock lock(mutex_);
  return opened_.env != nullptr;
}

void RecordEnv::reopen() {
  const std::unique_lock lock(mutex_);
  opened_.env.reset();  // LMDB must not have one file open twice in a process
  opened_ = open(directory_, map_bytes_);
}

SpoolTotals RecordEnv::load_totals(const lmdb::Txn& txn, MDB_dbi accounts) {
  const auto bytes = lmdb::get(txn, accounts, kTotalsKey);
  return decode(bytes.value_or(std::string_view{}));
}

RecordEnv::Batch::Batch(RecordEnv& env)
    : env_(env),
      lock_(env.mutex_),
      txn_(lmdb::Txn::write(env.env())),
      totals_(load_totals(txn_, env.opened_.accounts)) {}

SpoolId RecordEnv::Batch::append(const MessageView& message) {
  const SpoolId id{totals_.received + 1};
  const HeaderBytes header = encode_header(id, message);
  const std::string_view header_view(header.data(), header.size());
  env_.opened_.records.append(txn_, id, {header_view, message.topic, message.payload});
  totals_.received += 1;
  totals_.waiting_bytes += header.size() + message.topic.size() + message.payload.size();
  return id;
}

void RecordEnv::Batch::erase(SpoolId id, bool dead_lettered) {
  const std::optional<std::size_t> bytes = env_.opened_.records.erase(txn_, id);
  if (!bytes) {
    return;
  }
  (dead_lettered ? totals_.dead_lettered : totals_.stored) += 1;
  totals_.waiting_bytes -= std::min<std::uint64_t>(*bytes, totals_.waiting_bytes);
}

void RecordEnv::Batch::put_note(std::string_view name, std::string_view text) {
  lmdb::put(txn_, env_.opened_.notes, name, text);
}

SpoolTotals RecordEnv::Batch::commit() && {
  const TotalsBytes bytes = encode(totals_);
  lmdb::put(txn_, env_.opened_.accounts, kTotalsKey, {bytes.data(), bytes.size()});
  std::move(txn_).commit();
  return totals_;
}

std::vector<SpoolEntry> RecordEnv::list(SpoolId after, std::size_t max) const {
  const std::shared_lock lock(mutex_);
  const lmdb::Txn txn = lmdb::Txn::read(env());
  std::vector<SpoolEntry> entries;
  auto id = opened_.records.lower_bound(txn, next(after));
  while (id && entries.size() < max) {
    const auto first = opened_.records.first_piece(txn, *id);
    const auto header = first ? decode_header(*first) : std::nullopt;
    entries.push_back({*id, header ? header->record_bytes() : 0});
    id = opened_.records.lower_bound(txn, next(*id));
  }
  return entries;
}

std::variant<Record, NoRecord, DamagedRecord> RecordEnv::read(SpoolId id) const {
  const std::shared_lock lock(mutex_);
  const lmdb::Txn txn = lmdb::Txn::read(env());
  const auto first = opened_.records.first_piece(txn, id);
  const auto header = first ? decode_header(*first) : std::nullopt;
  if (!header) {
    const bool gone = !first && opened_.records.lower_bound(txn, id) != id;
    if (gone) {
      return NoRecord{};
    }
    return DamagedRecord{};
  }
  auto value = opened_.records.read(txn, id, header->record_bytes() + 1, Record::kPaddingBytes);
  const std::string_view bytes(value->buffer.get(), value->bytes);
  if (!checksum_matches(id, *header, bytes)) {
    return DamagedRecord{};
  }
  return Record(id, std::move(value->buffer), view_message(*header, bytes));
}

std::optional<std::string> RecordEnv::read_raw(SpoolId id) const {
  const std::shared_lock lock(mutex_);
  const lmdb::Txn txn = lmdb::Txn::read(env());
  constexpr std::size_t kMaxBytes =
      RecordHeader::kBytes + RecordHeader::kMaxTopicBytes + RecordHeader::kMaxPayloadBytes;
  const auto value = opened_.records.read(txn, id, kMaxBytes, 0);
  return value ? std::optional(std::string(value->buffer.get(), value->bytes)) : std::nullopt;
}

std::optional<WallTime> RecordEnv::oldest_received_at() const {
  const std::shared_lock lock(mutex_);
  const lmdb::Txn txn = lmdb::Txn::read(env());
  const auto id = opened_.records.lower_bound(txn, SpoolId{0});
  const auto first = id ? opened_.records.first_piece(txn, *id) : std::nullopt;
  const auto header = first ? decode_header(*first) : std::nullopt;
  return header ? std::optional(header->received_at) : std::nullopt;
}

std::optional<std::string> RecordEnv::note(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const lmdb::Txn txn = lmdb::Txn::read(env());
  const auto text = lmdb::get(txn, opened_.notes, name);
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

SpoolTotals RecordEnv::totals() const {
  const std::shared_lock lock(mutex_);
  return load_totals(lmdb::Txn::read(env()), opened_.accounts);
}

RecordEnv::Usage RecordEnv::usage() const {
  const std::shared_lock lock(mutex_);
  const lmdb::Txn txn = lmdb::Txn::read(env());
  MDB_envinfo info{};
  lmdb::check(mdb_env_info(env(), &info), "mdb_env_info");
  MDB_stat stat{};
  lmdb::check(mdb_env_stat(env(), &stat), "mdb_env_stat");
  return {.live_bytes = lmdb::used_bytes(txn, opened_.records.dbi()),
          .file_bytes = (std::uint64_t{info.me_last_pgno} + 1) * stat.ms_psize};
}

}  // namespace m2b
