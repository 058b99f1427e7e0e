#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/spool/message.hpp"
#include "spool/lmdb.hpp"

namespace m2b {

/// One LMDB database of byte strings by SpoolId, each cut into pieces of one size: contiguous
/// values of many sizes fragment LMDB's free list until every put takes half a second, pieces
/// cannot (docs/decisions/0004). Knows nothing of what the bytes mean. All calls belong to a
/// transaction of the caller.
class PieceStore {
 public:
  /// Fills 16 pages of 4 KiB exactly: LMDB puts a header of 16 bytes before such a value.
  static constexpr std::size_t kPieceBytes = 65'520;

  /// Which piece of which value stands under a key; nothing when it is no such key.
  struct Piece {
    std::uint64_t id;
    std::uint64_t number;
  };
  [[nodiscard]] static std::optional<Piece> piece_of(std::string_view key) noexcept;

  /// Opens, or creates in a write transaction, the database of this name.
  PieceStore(const lmdb::Txn& txn, const char* name);

  /// Writes the parts one after the other as one value. The id must be above all ids in the store.
  void append(const lmdb::Txn& txn, SpoolId id,
              std::initializer_list<std::string_view> parts) const;

  /// Writes a value under any id, replacing one that is there.
  void replace(const lmdb::Txn& txn, SpoolId id, std::string_view value) const;

  /// Writes one piece, whose bytes `fill` provides. A value is complete when its pieces are there
  /// from number 0 on, each but the last one of kPieceBytes.
  void put_piece(const lmdb::Txn& txn, SpoolId id, std::uint64_t number, std::size_t bytes,
                 const std::function<void(std::span<char>)>& fill) const;

  /// Calls `visit` with up to `max_pieces` pieces of the value, from number `first` on. Returns
  /// where to go on; nothing behind the last one. For a transaction that only reads.
  using VisitPiece = std::function<void(std::string_view)>;
  [[nodiscard]] std::optional<std::uint64_t> visit(const lmdb::Txn& txn, SpoolId id,
                                                   std::uint64_t first, std::size_t max_pieces,
                                                   const VisitPiece& visit) const;

  /// Removes the value, whatever its bytes; nothing when there was none, otherwise its size. Throws
  /// MDB_CORRUPTED rather than let LMDB free pages that belong to others.
  std::optional<std::size_t> erase(const lmdb::Txn& txn, SpoolId id) const;

  /// Of all its pieces; 0: there is none.
  [[nodiscard]] std::uint64_t bytes_of(const lmdb::Txn& txn, SpoolId id) const;

  /// The first piece, valid as long as the transaction: the whole value when it is short.
  [[nodiscard]] std::optional<std::string_view> first_piece(const lmdb::Txn& txn, SpoolId id) const;

  /// The pieces that are there, put together: no more than `max_bytes`. What is missing in between
  /// is not noticed here.
  struct Value {
    std::unique_ptr<char[]> buffer;  // `padding` zero bytes follow the value
    std::size_t bytes = 0;
  };
  [[nodiscard]] std::optional<Value> read(const lmdb::Txn& txn, SpoolId id, std::size_t max_bytes,
                                          std::size_t padding) const;

  /// A part of the value: up to `max_bytes` from `offset` on, fewer at its end. Nothing: there is
  /// no such value.
  [[nodiscard]] std::optional<std::string> read_range(const lmdb::Txn& txn, SpoolId id,
                                                      std::size_t offset,
                                                      std::size_t max_bytes) const;

  /// The first id at or above `from`.
  [[nodiscard]] std::optional<SpoolId> lower_bound(const lmdb::Txn& txn, SpoolId from) const;

  /// The highest id.
  [[nodiscard]] std::optional<SpoolId> last(const lmdb::Txn& txn) const;
  /// The last piece of that value.
  [[nodiscard]] std::optional<Piece> last_piece(const lmdb::Txn& txn) const;

  [[nodiscard]] MDB_dbi dbi() const noexcept { return dbi_; }

 private:
  MDB_dbi dbi_;
};

}  // namespace m2b
