#include "spool/record_env.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>

#include "m2b/util/log.hpp"
#include "spool/little_endian.hpp"
#include "spool/record_codec.hpp"
#include "spool/sealed.hpp"

namespace m2b {
namespace {

constexpr const char* kRecords = "records";
constexpr const char* kAccounts = "accounts";
constexpr const char* kNotes = "notes";
constexpr std::string_view kTotalsKey = "totals";
constexpr std::size_t kAccountsFields = 6;

std::string encode(const Accounts& accounts) {
  std::string bytes(kAccountsFields * sizeof(std::uint64_t), '\0');
  store_le(&bytes[0], accounts.last_id);
  store_le(&bytes[8], accounts.totals.received);
  store_le(&bytes[16], accounts.totals.stored);
  store_le(&bytes[24], accounts.totals.dead_lettered);
  store_le(&bytes[32], accounts.totals.set_aside);
  store_le(&bytes[40], accounts.totals.waiting_bytes);
  return bytes;
}

std::optional<Accounts> decode(std::string_view bytes) {
  if (bytes.size() != kAccountsFields * sizeof(std::uint64_t)) {
    return std::nullopt;
  }
  return Accounts{.totals = {.received = load_le<std::uint64_t>(&bytes[8]),
                             .stored = load_le<std::uint64_t>(&bytes[16]),
                             .dead_lettered = load_le<std::uint64_t>(&bytes[24]),
                             .set_aside = load_le<std::uint64_t>(&bytes[32]),
                             .waiting_bytes = load_le<std::uint64_t>(&bytes[40])},
                  .last_id = load_le<std::uint64_t>(&bytes[0])};
}

std::optional<Accounts> find_accounts(const lmdb::Txn& txn, MDB_dbi dbi) {
  const auto bytes = sealed::get(txn, dbi, kTotalsKey);
  return bytes ? decode(*bytes) : std::nullopt;
}

Accounts load_accounts(const lmdb::Txn& txn, MDB_dbi dbi) {
  const auto accounts = find_accounts(txn, dbi);
  if (!accounts) {
    throw lmdb::Error("accounts of the spool", MDB_CORRUPTED);
  }
  return *accounts;
}

std::optional<Accounts> accounts_of(const lmdb::File& damaged, lmdb::File::Snapshot snapshot) {
  std::optional<Accounts> found;
  damaged.walk(snapshot, kAccounts, [&](std::string_view, const lmdb::File::Value& value) {
    const auto bytes = sealed::open(value.in_leaf);
    found = bytes ? decode(*bytes) : found;
  });
  return found;
}

/// Higher than any id that was given so far, where nothing tells which that was: ids begin with 1,
/// and no spool takes 4,096 messages in each second since 1970.
std::uint64_t id_by_clock() {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(wall_now().time_since_epoch());
  return static_cast<std::uint64_t>(seconds.count()) << 12U;
}

SpoolId next(SpoolId id) { return SpoolId{to_number(id) + 1}; }

/// The records that are there.
struct Found {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

Found find_records(const lmdb::Txn& txn, const PieceStore& records) {
  Found found;
  for (auto id = records.lower_bound(txn, SpoolId{0}); id;
       id = records.lower_bound(txn, next(*id))) {
    found.count += 1;
    found.bytes += records.bytes_of(txn, *id);
  }
  return found;
}

/// Records that came after the last commit that can be read as a whole: no tree leads to them any
/// more, but ids above `last_id` were never in an older one, so what is found of them is theirs.
/// Only whole ones with the right checksum are taken. Returns the highest id.
std::uint64_t rescue_newer(const lmdb::Txn& txn, const PieceStore& records,
                           const lmdb::File& damaged, std::uint64_t last_id) {
  constexpr std::uint64_t kMostInOneCommit = 1'000'000;
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> pieces;  // by id and number
  damaged.scan([&](std::string_view key, const lmdb::File::Value& value) {
    const auto piece = PieceStore::piece_of(key);
    if (!piece || piece->id <= last_id || piece->id - last_id > kMostInOneCommit ||
        value.bytes > PieceStore::kPieceBytes) {
      return;
    }
    if (auto bytes = damaged.load(value)) {
      pieces[piece->id][piece->number] = *std::move(bytes);
    }
  });
  std::uint64_t highest = last_id;
  for (const auto& [id, parts] : pieces) {
    std::string bytes;
    for (const auto& [number, part] : parts) {
      bytes += part;
    }
    const auto header = decode_header(bytes);
    if (header && checksum_matches(SpoolId{id}, *header, bytes)) {
      records.replace(txn, SpoolId{id}, bytes);
      highest = id;
    }
  }
  return highest;
}

/// Makes the accounts of a mended environment right: what was waiting and is not there any more is
/// set aside.
void settle_accounts(const lmdb::Txn& txn, const lmdb::File* damaged) {
  const PieceStore records(txn, kRecords);
  const MDB_dbi dbi = lmdb::open_database(txn, kAccounts, MDB_CREATE);
  std::optional<Accounts> kept;
  if (damaged != nullptr) {
    kept = accounts_of(*damaged, lmdb::File::Snapshot::newest);
    const bool is_newest = kept && damaged->knows_its_newest();
    kept = kept ? kept : accounts_of(*damaged, lmdb::File::Snapshot::previous);
    if (kept && !is_newest) {
      const std::uint64_t highest = rescue_newer(txn, records, *damaged, kept->last_id);
      kept->totals.received += highest - kept->last_id;
      kept->last_id = highest;
    }
  }
  const Found found = find_records(txn, records);
  if (!kept) {
    log::error("spool", "its accounts could not be read and begin anew");
    kept = Accounts{.totals = {.received = found.count}, .last_id = id_by_clock()};
  }
  SpoolTotals& totals = kept->totals;
  const std::uint64_t waiting = totals.waiting();
  if (found.count <= waiting) {
    totals.set_aside += waiting - found.count;
  } else {
    // The last commit's removals came back; they will be stored, and counted, once more.
    totals.stored -= std::min(totals.stored, found.count - waiting);
    totals.received = totals.stored + totals.dead_lettered + totals.set_aside + found.count;
  }
  totals.waiting_bytes = found.bytes;
  sealed::put(txn, dbi, kTotalsKey, encode(*kept));
}

}  // namespace

RecordEnv::RecordEnv(std::filesystem::path directory, std::uint64_t map_bytes)
    : directory_(std::move(directory)),
      map_bytes_(map_bytes),
      opened_(open(directory_, map_bytes_, lmdb::File::Scrutiny::trees)) {}

RecordEnv::Opened RecordEnv::open(const std::filesystem::path& directory, std::uint64_t map_bytes,
                                  lmdb::File::Scrutiny scrutiny) {
  mend({.folder = directory,
        .map_bytes = map_bytes,
        .databases = {{kRecords, MDB_INTEGERKEY}, {kAccounts, 0}, {kNotes, 0}},
        .settle = settle_accounts},
       scrutiny);
  lmdb::EnvHandle env = lmdb::open_env(directory, map_bytes);
  lmdb::Txn txn = lmdb::Txn::write(env.get());
  const PieceStore records(txn, kRecords);
  const MDB_dbi accounts = lmdb::open_database(txn, kAccounts, MDB_CREATE);
  const MDB_dbi notes = lmdb::open_database(txn, kNotes, MDB_CREATE);
  if (!find_accounts(txn, accounts)) {
    if (is_made(directory)) {
      settle_accounts(txn, nullptr);
    } else {
      sealed::put(txn, accounts, kTotalsKey, encode({}));
    }
  }
  std::move(txn).commit();
  mark_made(directory);
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
  opened_ = open(directory_, map_bytes_, lmdb::File::Scrutiny::values);
}

RecordEnv::Batch::Batch(RecordEnv& env)
    : env_(env),
      lock_(env.mutex_),
      txn_(lmdb::Txn::write(env.env())),
      accounts_(load_accounts(txn_, env.opened_.accounts)) {}

SpoolId RecordEnv::Batch::append(const MessageView& message) {
  const SpoolId id{accounts_.last_id + 1};
  const HeaderBytes header = encode_header(id, message);
  const std::string_view header_view(header.data(), header.size());
  env_.opened_.records.append(txn_, id, {header_view, message.topic, message.payload});
  accounts_.last_id += 1;
  accounts_.totals.received += 1;
  accounts_.totals.waiting_bytes += header.size() + message.topic.size() + message.payload.size();
  return id;
}

void RecordEnv::Batch::erase(SpoolId id, bool dead_lettered) {
  const std::optional<std::size_t> bytes = env_.opened_.records.erase(txn_, id);
  if (!bytes) {
    return;
  }
  SpoolTotals& totals = accounts_.totals;
  (dead_lettered ? totals.dead_lettered : totals.stored) += 1;
  totals.waiting_bytes -= std::min<std::uint64_t>(*bytes, totals.waiting_bytes);
}

void RecordEnv::Batch::put_note(std::string_view name, std::string_view text) {
  sealed::put(txn_, env_.opened_.notes, name, text);
}

SpoolTotals RecordEnv::Batch::commit() && {
  sealed::put(txn_, env_.opened_.accounts, kTotalsKey, encode(accounts_));
  std::move(txn_).commit();
  return accounts_.totals;
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
  return sealed::get(txn, opened_.notes, name);
}

SpoolTotals RecordEnv::totals() const {
  const std::shared_lock lock(mutex_);
  return load_accounts(lmdb::Txn::read(env()), opened_.accounts).totals;
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
