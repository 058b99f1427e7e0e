#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/message.hpp"
#include "spool/lmdb.hpp"
#include "spool/mending.hpp"
#include "spool/piece_store.hpp"

namespace m2b {

/// A record on its way to the dead letters.
struct DeadLetter {
  SpoolId id;
  Rejection rejection;
  std::string
      raw;  // the record's bytes as they stood in the spool: topic, time and payload included
};

/// The dead-letter store, an LMDB environment of its own: long-lived records among short-lived ones
/// are what fragments a spool. For one thread at a time. Throws lmdb::Error.
class DeadLetters {
 public:
  DeadLetters(std::filesystem::path directory, std::uint64_t map_bytes);

  /// Writes them in one durable transaction. The same id again replaces the letter: a crash may
  /// come between this and the record's removal from the spool.
  void add(const std::vector<DeadLetter>& letters);

  [[nodiscard]] std::uint64_t count() const;

  /// What was kept of a letter; for tests and tools.
  struct Kept {
    Rejection rejection;
    WallTime added_at;
    std::string raw;
  };
  [[nodiscard]] std::optional<Kept> find(SpoolId id) const;

  /// As RecordEnv::reopen().
  void reopen();

 private:
  struct Opened {
    lmdb::EnvHandle env;
    PieceStore records;
    MDB_dbi reasons;
  };
  [[nodiscard]] static Opened open(const std::filesystem::path& directory, std::uint64_t map_bytes,
                                   lmdb::File::Scrutiny scrutiny);
  [[nodiscard]] MDB_env* env() const;

  std::filesystem::path directory_;
  std::uint64_t map_bytes_;
  Opened opened_;
};

}  // namespace m2b
