#pragma once

#include <cstdint>
#include <filesystem>
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

namespace m2b {

/// A record on its way to the dead letters.
struct DeadLetter {
  SpoolId id;
  Rejection rejection;
  std::string
      raw;  // the record's bytes as they stood in the spool: topic, time and payload included
};

/// The dead-letter store, an LMDB environment of its own: long-lived records among short-lived ones
/// are what fragments a spool. Reading from any thread; one writer at a time. Throws lmdb::Error.
class DeadLetters {
 public:
  DeadLetters(std::filesystem::path directory, std::uint64_t map_bytes, KeyRing keys);

  /// Writes them in one durable transaction. The same id again replaces the letter: a crash may
  /// come between this and the record's removal from the spool.
  void add(const std::vector<DeadLetter>& letters);

  /// Removes them in one durable transaction, as far as they are there.
  void erase(const std::vector<SpoolId>& ids);

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

  /// As payload_beginning(); nothing: there is no such letter.
  [[nodiscard]] std::optional<std::variant<std::string, KeyMissing>> payload_beginning(
      SpoolId id, std::size_t max_bytes) const;

  /// What stands under a key of database `reasons`; nothing when it is no such key.
  [[nodiscard]] static std::optional<SpoolId> id_of(std::string_view key) noexcept;

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
  };
  MendedEnv<Databases> env_;
  const KeyRing keys_;
};

/// What the value of database `reasons` and the beginning of the record tell of a letter.
[[nodiscard]] LetterInfo describe_letter(SpoolId id, std::string_view reason,
                                         std::string_view beginning, const KeyRing& keys);

}  // namespace m2b
