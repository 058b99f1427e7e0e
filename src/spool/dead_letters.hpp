#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/message.hpp"
#include "m2b/spool/record_info.hpp"
#include "spool/lmdb.hpp"
#include "spool/mended_env.hpp"
#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"
#include "spool/running_time.hpp"

namespace m2b {

/// A record on its way to the dead letters.
struct DeadLetter {
  SpoolId id;
  Rejection rejection;
  std::string
      raw;  // the record's bytes as they stood in the spool: topic, time and payload included
};

/// How far a record is that is copied to the dead letters in several transactions.
struct LargeCopy {
  std::optional<std::uint64_t> next_piece = 0;  // in the spool, where some may be missing
  std::uint64_t written = 0;                    // pieces
  std::uint64_t bytes = 0;                      // of those
};

/// The dead-letter store, an LMDB environment of its own: long-lived records among short-lived ones
/// are what fragments a spool. Reading from any thread; one writer at a time. Throws lmdb::Error.
class DeadLetters {
 public:
  DeadLetters(std::filesystem::path directory, std::uint64_t map_bytes, KeyRing keys,
              RunningTime::Now now = RunningTime::Clock::now);

  /// Writes them in one durable transaction. The same id again replaces the letter: a crash may
  /// come between this and the record's removal from the spool.
  void add(const std::vector<DeadLetter>& letters);

  /// As add(), of one letter, in several transactions of kMaxTransactionBytes: writes the next part
  /// of it. `visit` visits pieces of the record as PieceStore::visit(). True once the letter is
  /// whole; until then it is not among the letters. Throws lmdb::Error, also when what was written
  /// before is not there any more.
  using VisitRecord = std::function<std::optional<std::uint64_t>(
      std::uint64_t first, std::size_t max_pieces, const PieceStore::VisitPiece& visit)>;
  [[nodiscard]] bool add_part(SpoolId id, const Rejection& rejection, LargeCopy& copy,
                              const VisitRecord& visit);

  /// Removes them in one durable transaction, as far as they are there.
  void erase(const std::vector<SpoolId>& ids);

  /// Keeps, in one durable transaction, for how long the bridge has run, so that the ages go on
  /// from there at the next start. A letter without a beginning of its age gets one: now. Nothing
  /// happens where there are no letters.
  void keep_running_time();

  /// Up to `max` letters that have been here for longer than `age` of the bridge's running time, in
  /// the order of their ids.
  [[nodiscard]] std::vector<SpoolId> older_than(std::chrono::milliseconds age,
                                                std::size_t max) const;

  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] bool contains(SpoolId id) const;
  /// Pages in use, in bytes.
  [[nodiscard]] std::uint64_t used_bytes() const;

  /// Up to `max` letters with ids above `after`, in order.
  [[nodiscard]] std::vector<LetterInfo> list(SpoolId after, std::size_t max) const;

  /// The latest, the newest first.
  [[nodiscard]] std::vector<LetterInfo> latest(std::size_t max) const;

  /// The record's bytes as they stood in the spool, or a part of them.
  [[nodiscard]] std::optional<std::string> read_raw(
      SpoolId id, std::size_t offset = 0,
      std::size_t max_bytes = RecordHeader::kMaxRecordBytes) const;

  /// Calls `visit` with pieces of a letter as they are, as PieceStore::visit() does.
  [[nodiscard]] std::optional<std::uint64_t> visit_pieces(
      SpoolId id, std::uint64_t first, std::size_t max_pieces,
      const PieceStore::VisitPiece& visit) const;
  /// Of all its pieces; 0: it is not there.
  [[nodiscard]] std::uint64_t bytes_of(SpoolId id) const;

  /// As payload_beginning(); nothing: there is no such letter.
  [[nodiscard]] std::optional<std::variant<std::string, KeyMissing>> payload_beginning(
      SpoolId id, std::size_t max_bytes) const;

  /// What stands under a key of databases `reasons` and `ages`; nothing when it is no such key.
  [[nodiscard]] static std::optional<SpoolId> id_of(std::string_view key) noexcept;

  /// In database `ages`: the running time at which a letter was made, and, under kRunningTime, the
  /// latest that was kept; nothing when it is damaged.
  [[nodiscard]] static std::optional<std::chrono::milliseconds> running_time_of(
      std::string_view value);
  static constexpr SpoolId kRunningTime{0};  // no record has this id

  /// As those of MendedEnv.
  void reopen() { env_.reopen(); }
  [[nodiscard]] bool is_in_place() const { return env_.is_in_place(); }
  void put_back() { env_.put_back(); }

 private:
  [[nodiscard]] std::vector<LetterInfo> walk(MDB_val key, MDB_cursor_op first_step,
                                             MDB_cursor_op next_step, std::size_t max) const;

  struct Databases {
    Databases(const lmdb::Txn& txn, const std::filesystem::path& folder);
    PieceStore records;
    MDB_dbi reasons;
    MDB_dbi ages;
  };
  void make_letter(const lmdb::Txn& txn, const Databases& databases, SpoolId id,
                   const Rejection& rejection) const;
  static void erase_one(const lmdb::Txn& txn, const Databases& databases, SpoolId id);
  [[nodiscard]] std::chrono::milliseconds kept_running_time() const;
  [[nodiscard]] static std::optional<std::chrono::milliseconds> made_at(const lmdb::Txn& txn,
                                                                        MDB_dbi ages, SpoolId id);

  MendedEnv<Databases> env_;
  const KeyRing keys_;
  const RunningTime running_time_;
};

/// What the value of database `reasons` and the beginning of the record tell of a letter.
[[nodiscard]] LetterInfo describe_letter(SpoolId id, std::string_view reason,
                                         std::string_view beginning, const KeyRing& keys);

}  // namespace m2b
