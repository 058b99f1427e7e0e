#include "spool/piece_store.hpp"

#include <algorithm>
#include <cstring>

#include "spool/lmdb_file.hpp"

namespace m2b {
namespace {

/// MDB_INTEGERKEY: a native 64-bit integer, the id in the upper 48 bits and the piece's number
/// below.
constexpr unsigned kPieceBits = 16;
constexpr std::uint64_t kMaxPieces = std::uint64_t{1} << kPieceBits;
/// Of larger values what has been read does not stay mapped.
constexpr std::size_t kForgottenAbove = std::size_t{8} << 20;

std::uint64_t key_of(SpoolId id, std::uint64_t piece = 0) noexcept {
  return (to_number(id) << kPieceBits) | piece;
}

MDB_val to_val(std::uint64_t& key) noexcept { return {sizeof key, &key}; }

std::optional<std::uint64_t> key_at(const MDB_val& key) noexcept {
  std::uint64_t number = 0;
  if (key.mv_size != sizeof number) {
    return std::nullopt;  // only damage can make such a key
  }
  std::memcpy(&number, key.mv_data, sizeof number);
  return number;
}

/// Copies a list of parts piece by piece.
class Gather {
 public:
  Gather(std::initializer_list<std::string_view> parts) : parts_(parts) {
    for (const std::string_view part : parts_) {
      left_ += part.size();
    }
  }

  [[nodiscard]] std::size_t left() const noexcept { return left_; }

  void copy(char* to, std::size_t bytes) {
    left_ -= bytes;
    while (bytes > 0) {
      std::string_view& part = parts_[at_];
      const std::size_t now = std::min(bytes, part.size());
      if (now > 0) {
        std::memcpy(to, part.data(), now);
      }
      to += now;
      bytes -= now;
      part.remove_prefix(now);
      at_ += part.empty() ? 1 : 0;
    }
  }

 private:
  std::vector<std::string_view> parts_;
  std::size_t at_ = 0;
  std::size_t left_ = 0;
};

void write_pieces(const lmdb::Txn& txn, MDB_dbi dbi, SpoolId id, Gather source, unsigned flags) {
  std::uint64_t piece = 0;
  do {
    std::uint64_t key = key_of(id, piece++);
    MDB_val key_val = to_val(key);
    MDB_val value{std::min(source.left(), PieceStore::kPieceBytes), nullptr};
    lmdb::check(mdb_put(txn.get(), dbi, &key_val, &value, flags | MDB_RESERVE), "mdb_put");
    source.copy(static_cast<char*>(value.mv_data), value.mv_size);
  } while (source.left() > 0);
}

/// Calls `visit` with each piece of the value in order, from the one with that number on, until it
/// returns false.
template <class Visit>
void for_each_piece(const lmdb::Txn& txn, MDB_dbi dbi, SpoolId id, Visit visit,
                    std::uint64_t piece = 0) {
  const lmdb::CursorHandle cursor = lmdb::open_cursor(txn, dbi);
  std::uint64_t first = key_of(id, piece);
  MDB_val key = to_val(first);
  MDB_val value{};
  int code = mdb_cursor_get(cursor.get(), &key, &value, MDB_SET_RANGE);
  while (code == MDB_SUCCESS) {
    const std::optional<std::uint64_t> number = key_at(key);
    if (!number || *number >> kPieceBits != to_number(id) ||
        !visit(cursor.get(), lmdb::to_view(value))) {
      return;
    }
    code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
  }
  if (code != MDB_NOTFOUND) {
    lmdb::check(code, "mdb_cursor_get");
  }
}

/// The key at which the cursor stands after `operation`; nothing when there is none.
std::optional<std::uint64_t> find_key(const lmdb::Txn& txn, MDB_dbi dbi, MDB_val key,
                                      MDB_cursor_op operation) {
  const lmdb::CursorHandle cursor = lmdb::open_cursor(txn, dbi);
  MDB_val value{};
  const int code = mdb_cursor_get(cursor.get(), &key, &value, operation);
  if (code == MDB_NOTFOUND) {
    return std::nullopt;
  }
  lmdb::check(code, "mdb_cursor_get");
  return key_at(key);
}

/// Its id.
std::optional<SpoolId> id_at(const lmdb::Txn& txn, MDB_dbi dbi, const MDB_val& key,
                             MDB_cursor_op operation) {
  const std::optional<std::uint64_t> number = find_key(txn, dbi, key, operation);
  return number ? std::optional(SpoolId{*number >> kPieceBits}) : std::nullopt;
}

}  // namespace

static_assert(PieceStore::kPieceBytes * kMaxPieces > (std::uint64_t{1} << 28),
              "the largest MQTT message fits");

std::optional<PieceStore::Piece> PieceStore::piece_of(std::string_view key) noexcept {
  const auto number = key_at(lmdb::to_val(key));
  return number ? std::optional(Piece{*number >> kPieceBits, *number % kMaxPieces}) : std::nullopt;
}

PieceStore::PieceStore(const lmdb::Txn& txn, const char* name)
    : dbi_(lmdb::open_database(txn, name, MDB_CREATE | MDB_INTEGERKEY)) {}

void PieceStore::append(const lmdb::Txn& txn, SpoolId id,
                        std::initializer_list<std::string_view> parts) const {
  write_pieces(txn, dbi_, id, Gather(parts), MDB_APPEND);
}

void PieceStore::replace(const lmdb::Txn& txn, SpoolId id, std::string_view value) const {
  erase(txn, id);
  write_pieces(txn, dbi_, id, Gather({value}), 0);
}

void PieceStore::put_piece(const lmdb::Txn& txn, SpoolId id, std::uint64_t number,
                           std::size_t bytes,
                           const std::function<void(std::span<char>)>& fill) const {
  std::uint64_t key = key_of(id, number);
  MDB_val key_val = to_val(key);
  MDB_val value{bytes, nullptr};
  lmdb::check(mdb_put(txn.get(), dbi_, &key_val, &value, MDB_RESERVE), "mdb_put");
  fill({static_cast<char*>(value.mv_data), value.mv_size});
}

std::optional<std::uint64_t> PieceStore::visit(const lmdb::Txn& txn, SpoolId id,
                                               std::uint64_t first, std::size_t max_pieces,
                                               const VisitPiece& visit) const {
  std::size_t visited = 0;
  std::optional<std::uint64_t> next;
  for_each_piece(
      txn, dbi_, id,
      [&](MDB_cursor* cursor, std::string_view piece) {
        if (visited++ == max_pieces) {
          MDB_val key{};
          MDB_val value{};
          lmdb::check(mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT), "mdb_cursor_get");
          next = key_at(key).value_or(0) % kMaxPieces;
          return false;
        }
        visit(piece);
        lmdb::forget(piece);
        return true;
      },
      first);
  return next;
}

std::optional<std::size_t> PieceStore::erase(const lmdb::Txn& txn, SpoolId id) const {
  std::optional<std::size_t> bytes;
  for_each_piece(txn, dbi_, id, [&](MDB_cursor* cursor, std::string_view piece) {
    if (!lmdb::frees_its_own_pages(piece)) {
      throw lmdb::Error("page header of a value", MDB_CORRUPTED);
    }
    bytes = bytes.value_or(0) + piece.size();
    lmdb::check(mdb_cursor_del(cursor, 0), "mdb_cursor_del");
    if (*bytes > kForgottenAbove) {
      lmdb::forget(piece);  // its header was looked at, which mapped its neighbours as well
    }
    return true;
  });
  return bytes;
}

std::uint64_t PieceStore::bytes_of(const lmdb::Txn& txn, SpoolId id) const {
  std::uint64_t bytes = 0;
  for_each_piece(txn, dbi_, id, [&](MDB_cursor*, std::string_view piece) {
    bytes += piece.size();
    return true;
  });
  return bytes;
}

std::optional<std::string_view> PieceStore::first_piece(const lmdb::Txn& txn, SpoolId id) const {
  std::uint64_t key = key_of(id);
  return lmdb::get(txn, dbi_, lmdb::to_view(to_val(key)));
}

std::optional<PieceStore::Value> PieceStore::read(const lmdb::Txn& txn, SpoolId id,
                                                  std::size_t max_bytes,
                                                  std::size_t padding) const {
  std::vector<std::string_view> pieces;
  std::size_t bytes = 0;
  for_each_piece(txn, dbi_, id, [&](MDB_cursor*, std::string_view piece) {
    pieces.push_back(piece.substr(0, max_bytes - bytes));
    bytes += pieces.back().size();
    return bytes < max_bytes;
  });
  if (pieces.empty()) {
    return std::nullopt;
  }
  Value value{std::make_unique_for_overwrite<char[]>(bytes + padding), bytes};
  char* to = value.buffer.get();
  for (const std::string_view piece : pieces) {
    to = std::copy(piece.begin(), piece.end(), to);
    if (bytes > kForgottenAbove) {
      lmdb::forget(piece);
    }
  }
  std::fill_n(to, padding, '\0');
  return value;
}

std::optional<std::string> PieceStore::read_range(const lmdb::Txn& txn, SpoolId id,
                                                  std::size_t offset, std::size_t max_bytes) const {
  if (!first_piece(txn, id)) {
    return std::nullopt;
  }
  std::string bytes;
  if (max_bytes > kPieceBytes) {
    bytes.reserve(std::min<std::uint64_t>(max_bytes, bytes_of(txn, id)));
  }
  std::size_t skip = offset % kPieceBytes;
  for_each_piece(
      txn, dbi_, id,
      [&](MDB_cursor*, std::string_view piece) {
        bytes += piece.substr(std::min(skip, piece.size()), max_bytes - bytes.size());
        if (bytes.size() > kForgottenAbove) {
          lmdb::forget(piece);
        }
        skip = 0;
        return bytes.size() < max_bytes;
      },
      std::min<std::uint64_t>(offset / kPieceBytes, kMaxPieces - 1));
  return bytes;
}

std::optional<PieceStore::Piece> PieceStore::last_piece(const lmdb::Txn& txn) const {
  const std::optional<std::uint64_t> number = find_key(txn, dbi_, MDB_val{}, MDB_LAST);
  return number ? std::optional(Piece{*number >> kPieceBits, *number % kMaxPieces}) : std::nullopt;
}

std::optional<SpoolId> PieceStore::last(const lmdb::Txn& txn) const {
  return id_at(txn, dbi_, MDB_val{}, MDB_LAST);
}

std::optional<SpoolId> PieceStore::lower_bound(const lmdb::Txn& txn, SpoolId from) const {
  std::uint64_t first = key_of(from);
  return id_at(txn, dbi_, to_val(first), MDB_SET_RANGE);
}

}  // namespace m2b
