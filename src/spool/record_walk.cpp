#include "spool/record_walk.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"

namespace m2b {
namespace {

/// Enough for the header and a topic of ordinary length.
constexpr std::uint64_t kBeginningBytes = 4000;

/// A piece of a record, which stays when the walk goes on.
class FoundPiece {
 public:
  explicit FoundPiece(const lmdb::File::Value& value) : value_(value), in_leaf_(value.in_leaf) {}

  [[nodiscard]] std::uint64_t bytes() const noexcept { return value_.bytes; }

  [[nodiscard]] std::optional<std::string> load(const lmdb::File& file,
                                                std::uint64_t max_bytes) const {
    return value_.page == 0 ? in_leaf_.substr(0, max_bytes) : file.load(value_, max_bytes);
  }

 private:
  lmdb::File::Value value_;
  std::string in_leaf_;  // value_.in_leaf is a view of a page that is gone
};

/// A record's pieces by number.
using FoundRecord = std::map<std::uint64_t, FoundPiece>;

std::optional<std::string> load_all(const lmdb::File& file, const FoundRecord& record) {
  std::size_t bytes = 0;
  for (const auto& [number, piece] : record) {
    bytes += std::min<std::uint64_t>(piece.bytes(), PieceStore::kPieceBytes);
  }
  std::string all;
  all.reserve(bytes);
  for (const auto& [number, piece] : record) {
    const auto loaded = piece.load(file, PieceStore::kPieceBytes);
    if (!loaded) {
      return std::nullopt;
    }
    all += *loaded;
  }
  return all;
}

void give(const lmdb::File& file, std::uint64_t id, const FoundRecord& record,
          const TakeRecord& take) {
  std::size_t bytes = 0;
  for (const auto& [number, piece] : record) {
    bytes += piece.bytes();
  }
  const bool has_first = record.begin()->first == 0;
  take(SpoolId{id},
       has_first ? record.begin()->second.load(file, kBeginningBytes).value_or("") : "", bytes,
       [&] { return load_all(file, record); });
}

}  // namespace

void walk_records(const lmdb::File& file, const TakeRecord& take) {
  std::uint64_t id = 0;
  FoundRecord record;
  const auto finish = [&] {
    if (!record.empty()) {
      give(file, id, record, take);
      record.clear();
    }
  };
  file.walk(lmdb::File::Snapshot::newest, "records",
            [&](std::string_view key, const lmdb::File::Value& value) {
              if (const auto piece = PieceStore::piece_of(key)) {
                if (piece->id != id) {
                  finish();
                }
                id = piece->id;
                record.insert_or_assign(piece->number, FoundPiece(value));
              }
            });
  finish();
}

void walk_newer_records(const lmdb::File& file, std::uint64_t last_id, const TakeRecord& take) {
  constexpr std::uint64_t kMostInOneCommit = 1'000'000;
  std::map<std::uint64_t, FoundRecord> found;
  file.scan([&](std::string_view key, const lmdb::File::Value& value) {
    const auto piece = PieceStore::piece_of(key);
    if (piece && piece->id > last_id && piece->id - last_id <= kMostInOneCommit &&
        value.bytes <= PieceStore::kPieceBytes) {
      found[piece->id].insert_or_assign(piece->number, FoundPiece(value));
    }
  });
  for (const auto& [id, record] : found) {
    const auto raw = load_all(file, record);
    if (raw && is_intact(SpoolId{id}, *raw)) {
      give(file, id, record, take);
    }
  }
}

}  // namespace m2b
