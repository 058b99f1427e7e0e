#include "spool/record_env.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <span>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "spool/little_endian.hpp"
#include "spool/record_codec.hpp"
#include "spool/sealed.hpp"
#include "spool/spool_directory.hpp"

namespace m2b {
namespace {

constexpr const char* kRecords = "records";
constexpr const char* kAccounts = "accounts";
constexpr const char* kNotes = "notes";
constexpr std::string_view kTotalsKey = "totals";
constexpr std::size_t kAccountsFields = 7;
constexpr std::uint64_t kPageBytes = 4096;

std::string encode_accounts(const Accounts& accounts) {
  std::string bytes(kAccountsFields * sizeof(std::uint64_t), '\0');
  store_le(&bytes[0], accounts.last_id);
  store_le(&bytes[8], accounts.totals.received);
  store_le(&bytes[16], accounts.totals.stored);
  store_le(&bytes[24], accounts.totals.dead_lettered);
  store_le(&bytes[32], accounts.totals.set_aside);
  store_le(&bytes[40], accounts.totals.dropped);
  store_le(&bytes[48], accounts.totals.waiting_bytes);
  return bytes;
}

std::optional<Accounts> decode_accounts(std::string_view bytes) {
  if (bytes.size() != kAccountsFields * sizeof(std::uint64_t)) {
    return std::nullopt;
  }
  return Accounts{.totals = {.received = load_le<std::uint64_t>(&bytes[8]),
                             .stored = load_le<std::uint64_t>(&bytes[16]),
                             .dead_lettered = load_le<std::uint64_t>(&bytes[24]),
                             .set_aside = load_le<std::uint64_t>(&bytes[32]),
                             .dropped = load_le<std::uint64_t>(&bytes[40]),
                             .waiting_bytes = load_le<std::uint64_t>(&bytes[48])},
                  .last_id = load_le<std::uint64_t>(&bytes[0])};
}

std::optional<Accounts> find_accounts(const lmdb::Txn& txn, MDB_dbi dbi) {
  const auto bytes = sealed::get(txn, dbi, kTotalsKey);
  return bytes ? decode_accounts(*bytes) : std::nullopt;
}

Accounts load_accounts(const lmdb::Txn& txn, MDB_dbi dbi) {
  const auto accounts = find_accounts(txn, dbi);
  if (!accounts) {
    throw lmdb::Error("accounts of the spool", MDB_CORRUPTED);
  }
  return *accounts;
}

/// Higher than any id that was given so far, where nothing tells which that was: ids begin with 1,
/// and no spool takes 4,096 messages in each second since 1970. A clock that was not set yet is not
/// believed.
std::uint64_t id_by_clock() {
  using namespace std::chrono;
  constexpr sys_days kThisWasWritten = 2026y / November / 30d;
  const auto seconds = duration_cast<std::chrono::seconds>(
      std::max<WallTime>(wall_now(), kThisWasWritten).time_since_epoch());
  return static_cast<std::uint64_t>(seconds.count()) << 12U;
}

SpoolId next(SpoolId id) { return SpoolId{to_number(id) + 1}; }

/// The records that are there.
struct Found {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

/// The parts of a record that is not complete (Batch::append_part()): they stand under the next id,
/// and the first piece is written last.
bool is_part(const lmdb::Txn& txn, const PieceStore& records, SpoolId id, std::uint64_t last_id) {
  return to_number(id) == last_id + 1 && !records.first_piece(txn, id);
}

Found find_records(const lmdb::Txn& txn, const PieceStore& records) {
  Found found;
  for (auto id = records.lower_bound(txn, SpoolId{0}); id;
       id = records.lower_bound(txn, next(*id))) {
    found.count += 1;
    found.bytes += records.bytes_of(txn, *id);
  }
  return found;
}

std::optional<Accounts> accounts_in(const lmdb::File& file, lmdb::File::Snapshot snapshot) {
  std::optional<Accounts> found;
  file.walk(snapshot, kAccounts, [&](std::string_view, const lmdb::File::Value& value) {
    const auto bytes = sealed::open(value.in_leaf);
    found = bytes ? decode_accounts(*bytes) : found;
  });
  return found;
}

/// The bytes of a record in the environment; none where it has none.
std::string bytes_of(const lmdb::Txn& txn, const PieceStore& records, SpoolId id) {
  return records.read_range(txn, id, 0, RecordHeader::kMaxRecordBytes).value_or("");
}

/// What became of the records that came after the last commit which can be read.
struct Newer {
  std::uint64_t highest_id;           // of those found
  std::optional<std::uint64_t> rest;  // behind which id they wait for room; nothing: none do
};

/// Brings those with an id above `last_id` into the fresh environment, as far as the disk has room
/// for them; none if others wait for room already.
Newer rescue_newer(const lmdb::Txn& txn, const PieceStore& records, const lmdb::File& damaged,
                   std::uint64_t last_id, std::optional<std::uint64_t> rest) {
  constexpr std::uint64_t kForTheTrees = std::uint64_t{512} << 10;
  const auto space = SpoolDirectory::space_of(lmdb::file_of(txn));
  std::uint64_t room = space.total_bytes == 0
                           ? std::numeric_limits<std::uint64_t>::max()
                           : space.free_bytes - std::min(space.free_bytes, kForTheTrees);
  Newer newer{.highest_id = last_id, .rest = rest};
  const auto take = [&](SpoolId id, std::string_view, std::size_t bytes, const LoadRecord& load) {
    const std::uint64_t needed = bytes + bytes / 16 + kPageBytes;
    const bool is_there = is_intact(id, bytes_of(txn, records, id));
    if (!is_there && !newer.rest && needed >= room) {
      newer.rest = newer.highest_id;
    }
    newer.highest_id = to_number(id);
    if (!is_there && !newer.rest) {
      records.replace(txn, id, load().value());
      room -= needed;
    }
  };
  walk_newer_records(damaged, last_id, take);
  return newer;
}

/// The disk was full while records were carried over: takes away the last one if only a part of it
/// was, and returns the last whole one.
std::uint64_t cut_cleanly(const lmdb::Txn& txn) {
  const PieceStore records(txn, kRecords);
  auto last = records.last(txn);
  if (last && !is_intact(*last, bytes_of(txn, records, *last))) {
    records.erase(txn, *last);
    last = records.last(txn);
  }
  return last ? to_number(*last) : 0;
}

/// Makes the accounts of a mended environment right: what was waiting and is not there any more is
/// set aside. `rest` is behind which id the records wait for room so far; returns what it is then.
std::optional<std::uint64_t> settle_accounts(const lmdb::Txn& txn, const lmdb::File* damaged,
                                             std::optional<std::uint64_t> rest) {
  const PieceStore records(txn, kRecords);
  const MDB_dbi dbi = lmdb::open_database(txn, kAccounts, MDB_CREATE);
  std::optional<Accounts> kept;
  if (damaged != nullptr) {
    const FoundAccounts known = accounts_of(*damaged);
    kept = known.accounts;
    if (kept && !known.are_newest) {
      const Newer newer = rescue_newer(txn, records, *damaged, kept->last_id, rest);
      rest = newer.rest;
      kept->totals.received += newer.highest_id - kept->last_id;
      kept->last_id = newer.highest_id;
    }
  }
  if (const auto last = records.last(txn);
      kept && last && is_part(txn, records, *last, kept->last_id)) {
    records.erase(txn, *last);
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
    totals.received = totals.gone() + found.count;
  }
  totals.waiting_bytes = found.bytes;
  sealed::put(txn, dbi, kTotalsKey, encode_accounts(*kept));
  return rest;
}

std::optional<std::uint64_t> settle(const lmdb::Txn& txn, const lmdb::File* damaged,
                                    bool disk_was_full) {
  std::optional<std::uint64_t> rest;
  if (disk_was_full) {
    rest = cut_cleanly(txn);
  }
  return settle_accounts(txn, damaged, rest);
}

}  // namespace

FoundAccounts accounts_of(const lmdb::File& file) {
  if (const auto newest = accounts_in(file, lmdb::File::Snapshot::newest)) {
    return {.accounts = newest, .are_newest = file.knows_its_newest()};
  }
  return {.accounts = accounts_in(file, lmdb::File::Snapshot::previous)};
}

void walk_all_records(const lmdb::File& file, const TakeRecord& take) {
  const FoundAccounts found = accounts_of(file);
  std::uint64_t last_id = found.accounts ? found.accounts->last_id : 0;
  walk_records(
      file, [&](SpoolId id, std::string_view beginning, std::size_t bytes, const LoadRecord& load) {
        const bool is_incomplete =
            found.accounts && beginning.empty() && to_number(id) == found.accounts->last_id + 1;
        if (is_incomplete) {
          return;
        }
        last_id = std::max(last_id, to_number(id));
        take(id, beginning, bytes, load);
      });
  if (found.accounts && !found.are_newest) {
    walk_newer_records(file, last_id, take);
  }
}

RecordEnv::RecordEnv(std::filesystem::path directory, std::uint64_t map_bytes, KeyRing keys)
    : env_({.folder = std::move(directory),
            .map_bytes = map_bytes,
            .databases = {{kRecords, MDB_INTEGERKEY}, {kAccounts, 0}, {kNotes, 0}},
            .settle = settle}),
      keys_(std::move(keys)) {
  fail_point("start.records_opened");
}

RecordEnv::Databases::Databases(const lmdb::Txn& txn, const std::filesystem::path& folder)
    : records(txn, kRecords),
      accounts(lmdb::open_database(txn, kAccounts, MDB_CREATE)),
      notes(lmdb::open_database(txn, kNotes, MDB_CREATE)) {
  if (!find_accounts(txn, accounts)) {
    if (is_made(folder)) {
      settle_accounts(txn, nullptr, std::nullopt);
    } else {
      sealed::put(txn, accounts, kTotalsKey, encode_accounts({}));
    }
  }
  // A damaged key may have made an id of its own; those that come must be above it.
  Accounts known = load_accounts(txn, accounts);
  if (const auto last = records.last(txn);
      last && to_number(*last) > known.last_id && !is_part(txn, records, *last, known.last_id)) {
    known.last_id = to_number(*last);
    sealed::put(txn, accounts, kTotalsKey, encode_accounts(known));
  }
}

RecordEnv::Batch::Batch(RecordEnv& env)
    : env_(env.env_.write()),
      key_(env.keys_.encrypting()),
      accounts_(load_accounts(env_.txn(), env_->accounts)),
      has_part_(env_->records.last(env_.txn()) == next_id()) {}

SpoolId RecordEnv::Batch::append(const MessageView& message) {
  accounts_.totals.received += 1;
  return write(message);
}

SpoolId RecordEnv::Batch::write(const MessageView& message) {
  const EncodedRecord record = encode_record(next_id(), message, key_);
  const std::string_view header(record.header.data(), record.header.size());
  return add({header, record.encrypted, record.topic, record.payload});
}

SpoolId RecordEnv::Batch::write_again(std::string record) {
  if (decode_header(record)->key) {
    change_id(next_id(), record);
    return add({record});
  }
  return write(std::get<MessageView>(open_message(record, KeyRing())));
}

SpoolId RecordEnv::Batch::add(std::initializer_list<std::string_view> parts) {
  drop_part();
  const SpoolId id = next_id();
  env_->records.append(env_.txn(), id, parts);
  accounts_.last_id += 1;
  for (const std::string_view part : parts) {
    accounts_.totals.waiting_bytes += part.size();
  }
  return id;
}

void RecordEnv::Batch::drop_part() {
  if (std::exchange(has_part_, false)) {
    env_->records.erase(env_.txn(), next_id());
  }
}

std::optional<SpoolId> RecordEnv::Batch::append_part(LargeRecord& record) {
  begin(record);
  const SpoolId id = next_id();
  std::size_t written = 0;
  while (record.next_bytes() > 0 && written < kMaxTransactionBytes) {
    const std::size_t bytes = record.next_bytes();
    env_->records.put_piece(env_.txn(), id, record.last_piece() + 1, bytes,
                            [&](std::span<char> piece) { record.write_next(piece); });
    written += bytes;
  }
  has_part_ = true;
  if (record.next_bytes() > 0) {
    return std::nullopt;
  }
  complete(record);
  return id;
}

void RecordEnv::Batch::begin(LargeRecord& record) {
  if (!record.has_begun()) {
    drop_part();
    record.begin(next_id(), key_);
    return;
  }
  const auto last = env_->records.last_piece(env_.txn());
  const bool goes_on =
      has_part_ && last && last->id == to_number(next_id()) && last->number == record.last_piece();
  if (!goes_on) {
    throw lmdb::Error("the part before of a large record", MDB_NOTFOUND);
  }
}

void RecordEnv::Batch::complete(LargeRecord& record) {
  const std::string_view first = record.first_piece();
  env_->records.put_piece(env_.txn(), next_id(), 0, first.size(), [&](std::span<char> piece) {
    std::copy(first.begin(), first.end(), piece.begin());
  });
  accounts_.last_id += 1;
  accounts_.totals.waiting_bytes += record.bytes();
  has_part_ = false;
}

void RecordEnv::Batch::erase(SpoolId id, bool dead_lettered) {
  const std::optional<std::size_t> bytes = env_->records.erase(env_.txn(), id);
  if (!bytes) {
    return;
  }
  SpoolTotals& totals = accounts_.totals;
  (dead_lettered ? totals.dead_lettered : totals.stored) += 1;
  totals.waiting_bytes -= std::min<std::uint64_t>(*bytes, totals.waiting_bytes);
}

SpoolId RecordEnv::Batch::put_back(std::string letter) {
  const SpoolId id = write_again(std::move(letter));
  take_letters(1);
  return id;
}

void RecordEnv::Batch::take_back(std::string record) {
  write_again(std::move(record));
  SpoolTotals& totals = accounts_.totals;
  if (totals.set_aside > 0) {
    totals.set_aside -= 1;
  } else {
    totals.received += 1;  // by accounts that began anew
  }
}

bool RecordEnv::Batch::contains(SpoolId id) const {
  return env_->records.lower_bound(env_.txn(), id) == id;
}

void RecordEnv::Batch::drop_letters(std::uint64_t count) {
  take_letters(count);
  accounts_.totals.dropped += count;
}

void RecordEnv::Batch::store_letters(std::uint64_t count) {
  take_letters(count);
  accounts_.totals.stored += count;
}

/// The account that they go to is the caller's affair.
void RecordEnv::Batch::take_letters(std::uint64_t count) {
  SpoolTotals& totals = accounts_.totals;
  const std::uint64_t known = std::min(count, totals.dead_lettered);
  totals.dead_lettered -= known;
  totals.received += count - known;
}

void RecordEnv::Batch::settle_letters(std::uint64_t kept, std::uint64_t waiting) {
  SpoolTotals& totals = accounts_.totals;
  const std::uint64_t right = kept - waiting;
  if (totals.dead_lettered > right) {
    const std::uint64_t too_many = totals.dead_lettered - right;
    const std::uint64_t lost = totals.dead_lettered - std::min(kept, totals.dead_lettered);
    totals.set_aside += std::min(lost, too_many);
    totals.stored += too_many - std::min(lost, too_many);  // settle_accounts() took them from there
  } else {
    totals.received += right - totals.dead_lettered;
  }
  totals.dead_lettered = right;
}

void RecordEnv::Batch::skip_ids(SpoolId last) {
  if (to_number(last) > accounts_.last_id) {
    drop_part();  // it stands under the next id, and would be taken for a record that was given one
    accounts_.last_id = to_number(last);
  }
}

void RecordEnv::Batch::put_note(std::string_view name, std::string_view text) {
  sealed::put(env_.txn(), env_->notes, name, text);
}

SpoolTotals RecordEnv::Batch::commit() && {
  sealed::put(env_.txn(), env_->accounts, kTotalsKey, encode_accounts(accounts_));
  std::move(env_).commit();
  return accounts_.totals;
}

std::vector<SpoolEntry> RecordEnv::list(SpoolId after, std::size_t max) const {
  const auto env = env_.read();
  const std::uint64_t last_id = load_accounts(env.txn(), env->accounts).last_id;
  std::vector<SpoolEntry> entries;
  auto id = env->records.lower_bound(env.txn(), next(after));
  while (id && entries.size() < max && !is_part(env.txn(), env->records, *id, last_id)) {
    const auto first = env->records.first_piece(env.txn(), *id);
    const auto header = first ? decode_header(*first) : std::nullopt;
    entries.push_back({*id, header ? header->record_bytes() : 0});
    id = env->records.lower_bound(env.txn(), next(*id));
  }
  if (!entries.empty() && to_number(entries.back().id) > last_id) {
    // No such id was given. Whoever goes on behind it would never see those that come.
    throw lmdb::Error("ids of the records", MDB_CORRUPTED);
  }
  return entries;
}

std::variant<Record, NoRecord, DamagedRecord, KeyMissing> RecordEnv::read(SpoolId id) const {
  const auto env = env_.read();
  const auto first = env->records.first_piece(env.txn(), id);
  const auto header = first ? decode_header(*first) : std::nullopt;
  if (!header) {
    const bool gone = !first && env->records.lower_bound(env.txn(), id) != id;
    if (gone) {
      return NoRecord{};
    }
    return DamagedRecord{};
  }
  if (header->key && keys_.find(*header->key) == nullptr) {
    return KeyMissing{*header->key};
  }
  auto value = env->records.read(env.txn(), id, header->record_bytes() + 1, Record::kPaddingBytes);
  const std::span<char> bytes(value->buffer.get(), value->bytes);
  if (!checksum_matches(id, *header, {bytes.data(), bytes.size()})) {
    return DamagedRecord{};
  }
  const OpenedMessage opened = open_record(*header, bytes, keys_);
  if (const auto* const message = std::get_if<MessageView>(&opened)) {
    return Record(id, std::move(value->buffer), *message);
  }
  return DamagedRecord{};
}

std::optional<std::string> RecordEnv::read_raw(SpoolId id, std::size_t offset,
                                               std::size_t max_bytes) const {
  const auto env = env_.read();
  return env->records.read_range(env.txn(), id, offset, max_bytes);
}

std::optional<std::uint64_t> RecordEnv::visit_pieces(SpoolId id, std::uint64_t first,
                                                     std::size_t max_pieces,
                                                     const PieceStore::VisitPiece& visit) const {
  const auto env = env_.read();
  return env->records.visit(env.txn(), id, first, max_pieces, visit);
}

std::uint64_t RecordEnv::bytes_of(SpoolId id) const {
  const auto env = env_.read();
  return env->records.bytes_of(env.txn(), id);
}

bool RecordEnv::has_part() const {
  const auto env = env_.read();
  const auto last = env->records.last(env.txn());
  return last && to_number(*last) > load_accounts(env.txn(), env->accounts).last_id;
}

std::vector<RecordInfo> RecordEnv::describe(SpoolId after, std::size_t max) const {
  const auto env = env_.read();
  const std::uint64_t last_id = load_accounts(env.txn(), env->accounts).last_id;
  std::vector<RecordInfo> infos;
  auto id = env->records.lower_bound(env.txn(), next(after));
  while (id && infos.size() < max && !is_part(env.txn(), env->records, *id, last_id)) {
    infos.push_back(
        describe_record(*id, env->records.first_piece(env.txn(), *id).value_or(""), keys_));
    infos.back().bytes = env->records.bytes_of(env.txn(), *id);
    id = env->records.lower_bound(env.txn(), next(*id));
  }
  return infos;
}

bool RecordEnv::contains(SpoolId id) const {
  const auto env = env_.read();
  return env->records.lower_bound(env.txn(), id) == id;
}

std::optional<WallTime> RecordEnv::oldest_received_at() const {
  const auto env = env_.read();
  const auto id = env->records.lower_bound(env.txn(), SpoolId{0});
  const auto first = id ? env->records.first_piece(env.txn(), *id) : std::nullopt;
  const auto header = first ? decode_header(*first) : std::nullopt;
  return header ? std::optional(header->received_at) : std::nullopt;
}

std::optional<std::string> RecordEnv::note(std::string_view name) const {
  const auto env = env_.read();
  return sealed::get(env.txn(), env->notes, name);
}

SpoolTotals RecordEnv::totals() const {
  const auto env = env_.read();
  return load_accounts(env.txn(), env->accounts).totals;
}

SpoolId RecordEnv::last_id() const {
  const auto env = env_.read();
  return SpoolId{load_accounts(env.txn(), env->accounts).last_id};
}

RecordEnv::Usage RecordEnv::usage() const {
  const auto env = env_.read();
  MDB_env* const raw = mdb_txn_env(env.txn().get());
  MDB_envinfo info{};
  lmdb::check(mdb_env_info(raw, &info), "mdb_env_info");
  MDB_stat stat{};
  lmdb::check(mdb_env_stat(raw, &stat), "mdb_env_stat");
  return {.live_bytes = lmdb::used_bytes(env.txn(), env->records.dbi()),
          .pending_bytes = lmdb::newly_freed_pages(env.txn()) * stat.ms_psize,
          .file_bytes = (std::uint64_t{info.me_last_pgno} + 1) * stat.ms_psize};
}

}  // namespace m2b
