#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "spool/large_record.hpp"
#include "spool/lmdb.hpp"
#include "spool/mended_env.hpp"
#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"
#include "spool/record_walk.hpp"

namespace m2b {

/// What is written of the accounts.
struct Accounts {
  SpoolTotals totals;
  std::uint64_t last_id = 0;  // the last one that was given
};

/// The accounts in an environment's file that is read without LMDB; nothing where they cannot be
/// read.
struct FoundAccounts {
  std::optional<Accounts> accounts;
  bool are_newest = false;  // if not, a later commit may have been lost
};
[[nodiscard]] FoundAccounts accounts_of(const lmdb::File& file);

/// Every record of such a file that can be found: as walk_records() gives them, and then those that
/// only a lost commit had.
void walk_all_records(const lmdb::File& file, const TakeRecord& take);

/// The LMDB environment of the waiting records, with the accounts and notes. Reading from any
/// thread; one writer at a time. Throws lmdb::Error.
class RecordEnv {
  struct Databases {
    Databases(const lmdb::Txn& txn, const std::filesystem::path& folder);
    PieceStore records;
    MDB_dbi accounts;
    MDB_dbi notes;
  };

 public:
  RecordEnv(std::filesystem::path directory, std::uint64_t map_bytes, KeyRing keys);

  /// One write transaction; nothing happens unless it is committed.
  class Batch {
   public:
    explicit Batch(RecordEnv& env);
    /// Gives the message the next id.
    SpoolId append(const MessageView& message);
    /// Writes the next kMaxTransactionBytes of a record that gets the next id. With the last of
    /// them it is there, and its id is returned; until then nobody sees it. No other record may be
    /// added in between. Throws lmdb::Error, also when what it wrote before is not there any more:
    /// it then has to begin anew.
    std::optional<SpoolId> append_part(LargeRecord& record);
    /// For one that was received.
    void count_received() noexcept { accounts_.totals.received += 1; }
    /// Removes the parts of a record that was not completed.
    void drop_part();
    /// Removes a record that was stored or dead-lettered; one that is gone already is not counted.
    void erase(SpoolId id, bool dead_lettered);
    /// Gives a dead letter the next id; it waits again. Of either, the intact bytes of the record:
    /// an encrypted one stays as it is, for which no key is needed.
    SpoolId put_back(std::string letter);
    /// The same for one that append_part() has put back.
    void count_put_back() { take_letters(1); }
    /// A message that was set aside waits again, under the next id.
    void take_back(std::string record);
    [[nodiscard]] bool contains(SpoolId id) const;
    /// Dead letters that go for good, or because the store has them.
    void drop_letters(std::uint64_t count);
    void store_letters(std::uint64_t count);
    /// Makes the account of the dead letters agree with what is kept of them, less those whose
    /// records wait.
    void settle_letters(std::uint64_t kept, std::uint64_t waiting);
    /// The ids that are given go on behind this one.
    void skip_ids(SpoolId last);
    void put_note(std::string_view name, std::string_view text);
    /// Returns the new accounts once everything is on disk.
    SpoolTotals commit() &&;

   private:
    [[nodiscard]] SpoolId next_id() const noexcept { return SpoolId{accounts_.last_id + 1}; }
    SpoolId write(const MessageView& message);
    SpoolId write_again(std::string record);
    SpoolId add(std::initializer_list<std::string_view> parts);
    void begin(LargeRecord& record);
    void complete(LargeRecord& record);
    void take_letters(std::uint64_t count);

    MendedEnv<Databases>::Access env_;
    const EncryptionKey* const key_;
    Accounts accounts_;
    bool has_part_;  // of a record that is not complete
  };

  [[nodiscard]] std::vector<SpoolEntry> list(SpoolId after, std::size_t max) const;
  [[nodiscard]] std::variant<Record, NoRecord, DamagedRecord, KeyMissing> read(SpoolId id) const;
  /// The bytes as they are, whatever they are, or a part of them.
  [[nodiscard]] std::optional<std::string> read_raw(
      SpoolId id, std::size_t offset = 0,
      std::size_t max_bytes = RecordHeader::kMaxRecordBytes) const;
  /// Calls `visit` with pieces of a record as they are, as PieceStore::visit() does.
  [[nodiscard]] std::optional<std::uint64_t> visit_pieces(
      SpoolId id, std::uint64_t first, std::size_t max_pieces,
      const PieceStore::VisitPiece& visit) const;
  /// Of all its pieces; 0: it is not there.
  [[nodiscard]] std::uint64_t bytes_of(SpoolId id) const;
  /// Whether there are parts of a record that was not completed, as after a crash.
  [[nodiscard]] bool has_part() const;
  /// As list(), with what the records' headers tell.
  [[nodiscard]] std::vector<RecordInfo> describe(SpoolId after, std::size_t max) const;
  [[nodiscard]] bool contains(SpoolId id) const;
  [[nodiscard]] std::optional<WallTime> oldest_received_at() const;
  [[nodiscard]] std::optional<std::string> note(std::string_view name) const;
  [[nodiscard]] SpoolTotals totals() const;
  [[nodiscard]] SpoolId last_id() const;

  /// Bytes in use by records and their tree, of pages that were in use before the newest commit and
  /// that the next one cannot use yet, and of the file.
  struct Usage {
    std::uint64_t live_bytes;
    std::uint64_t pending_bytes;
    std::uint64_t file_bytes;
  };
  [[nodiscard]] Usage usage() const;

  [[nodiscard]] const KeyRing& keys() const noexcept { return keys_; }

  /// As those of MendedEnv.
  [[nodiscard]] bool is_open() const { return env_.is_open(); }
  void reopen() { env_.reopen(); }
  [[nodiscard]] bool is_in_place() const { return env_.is_in_place(); }
  void put_back() { env_.put_back(); }

 private:
  MendedEnv<Databases> env_;
  const KeyRing keys_;
};

}  // namespace m2b
