#include "spool/record_walk.hpp"

#include <cstdint>
#include <vector>

#include "spool/piece_store.hpp"

namespace m2b {
namespace {

/// Enough for the header and a topic of ordinary length.
constexpr std::uint64_t kBeginningBytes = 4000;

/// Puts pieces that come in the order of their keys together.
class Assembly {
 public:
  Assembly(const lmdb::File& file, const TakeRecord& take) : file_(file), take_(take) {}

  void add(std::string_view key, const lmdb::File::Value& value) {
    const auto piece = PieceStore::piece_of(key);
    if (!piece) {
      return;
    }
    if (!pieces_.empty() && piece->id != id_) {
      finish();
    }
    id_ = piece->id;
    pieces_.push_back(value);
    if (value.page == 0) {
      in_leaf_.emplace_back(value.in_leaf);  // the page is gone when the walk goes on
    } else {
      in_leaf_.emplace_back();
    }
  }

  void finish() {
    if (pieces_.empty()) {
      return;
    }
    std::size_t bytes = 0;
    for (const lmdb::File::Value& piece : pieces_) {
      bytes += piece.bytes;
    }
    take_(SpoolId{id_}, load(0, kBeginningBytes).value_or(""), bytes,
          [this] { return load_all(); });
    pieces_.clear();
    in_leaf_.clear();
  }

 private:
  [[nodiscard]] std::optional<std::string> load(std::size_t index, std::uint64_t max_bytes) const {
    return pieces_[index].page == 0 ? in_leaf_[index].substr(0, max_bytes)
                                    : file_.load(pieces_[index], max_bytes);
  }

  [[nodiscard]] std::optional<std::string> load_all() const {
    std::string all;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const auto bytes = load(i, PieceStore::kPieceBytes);
      if (!bytes) {
        return std::nullopt;
      }
      all += *bytes;
    }
    return all;
  }

  const lmdb::File& file_;
  const TakeRecord& take_;
  std::uint64_t id_ = 0;
  std::vector<lmdb::File::Value> pieces_;
  std::vector<std::string> in_leaf_;
};

}  // namespace

void walk_records(const lmdb::File& file, const TakeRecord& take) {
  Assembly assembly(file, take);
  file.walk(
      lmdb::File::Snapshot::newest, "records",
      [&](std::string_view key, const lmdb::File::Value& value) { assembly.add(key, value); });
  assembly.finish();
}

}  // namespace m2b
