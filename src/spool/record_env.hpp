#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "spool/lmdb.hpp"
#include "spool/mending.hpp"
#include "spool/piece_store.hpp"

namespace m2b {

/// What is written of the accounts.
struct Accounts {
  SpoolTotals totals;
  std::uint64_t last_id = 0;  // the last one that was given
};

/// The LMDB environment of the waiting records, with the accounts and notes. Reading from any
/// thread; one writer at a time. Throws lmdb::Error.
class RecordEnv {
 public:
  RecordEnv(std::filesystem::path directory, std::uint64_t map_bytes);

  /// One write transaction; nothing happens unless it is committed.
  class Batch {
   public:
    explicit Batch(RecordEnv& env);
    /// Gives the message the next id.
    SpoolId append(const MessageView& message);
    /// Removes a record that was stored or dead-lettered; one that is gone already is not counted.
    void erase(SpoolId id, bool dead_lettered);
    void put_note(std::string_view name, std::string_view text);
    /// Returns the new accounts once everything is on disk.
    SpoolTotals commit() &&;

   private:
    RecordEnv& env_;
    std::shared_lock<std::shared_mutex> lock_;
    lmdb::Txn txn_;
    Accounts accounts_;
  };

  [[nodiscard]] std::vector<SpoolEntry> list(SpoolId after, std::size_t max) const;
  [[nodiscard]] std::variant<Record, NoRecord, DamagedRecord> read(SpoolId id) const;
  /// The bytes as they are, whatever they are.
  [[nodiscard]] std::optional<std::string> read_raw(SpoolId id) const;
  [[nodiscard]] std::optional<WallTime> oldest_received_at() const;
  [[nodiscard]] std::optional<std::string> note(std::string_view name) const;
  [[nodiscard]] SpoolTotals totals() const;

  /// Bytes in use by records and their tree, and of the file.
  struct Usage {
    std::uint64_t live_bytes;
    std::uint64_t file_bytes;
  };
  [[nodiscard]] Usage usage() const;

  /// False after a reopen() that failed.
  [[nodiscard]] bool is_open() const;
  /// Closes the environment, looks at it closely, mends it if it is damaged, and opens it again:
  /// after a failed write of the meta page LMDB refuses everything until then. Waits for readers.
  void reopen();

 private:
  struct Opened {
    lmdb::EnvHandle env;
    PieceStore records;
    MDB_dbi accounts;
    MDB_dbi notes;
  };

  [[nodiscard]] static Opened open(const std::filesystem::path& directory, std::uint64_t map_bytes,
                                   lmdb::File::Scrutiny scrutiny);
  /// The handle, or an error while a failed reopen() has left none. Caller holds mutex_.
  [[nodiscard]] MDB_env* env() const;

  const std::filesystem::path directory_;
  const std::uint64_t map_bytes_;
  mutable std::shared_mutex mutex_;  // guards opened_: exclusive only to reopen
  Opened opened_;
};

}  // namespace m2b
