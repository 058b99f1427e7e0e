#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "m2b/util/fd.hpp"
#include "m2b/util/repetition.hpp"
#include "spool/lmdb.hpp"
#include "spool/lmdb_file.hpp"

namespace m2b {

/// A database of an environment, as it is opened.
struct DatabaseSpec {
  const char* name;
  unsigned flags;
};

/// How a damaged environment is replaced.
struct MendingPlan {
  std::filesystem::path folder;  // of the environment
  std::uint64_t map_bytes;
  std::vector<DatabaseSpec> databases;
  /// Puts right what depends on what could be read; in the last transaction of the fresh
  /// environment. The damaged file is none where there was nothing to read. If the disk was full
  /// before all had been carried over, it makes a clean cut. Returns behind which id messages wait
  /// for room, nothing if none do: that becomes part of the folder's name in `set-aside`, which
  /// needs no room; see rest_of().
  std::function<std::optional<std::uint64_t>(const lmdb::Txn& fresh, const lmdb::File* damaged,
                                             bool disk_was_full)>
      settle = nullptr;
  /// Of the lines that tell of it: where the disk allows no mending, it is tried again and again.
  std::shared_ptr<Repetition> lines = std::make_shared<Repetition>();
};

/// Of a folder in `set-aside`: behind which id its records wait for room; nothing when none do.
[[nodiscard]] std::optional<std::uint64_t> rest_of(const std::filesystem::path& folder);

/// Remembers that the rest of such a folder has been taken back. Throws as mend().
void mark_taken_back(const std::filesystem::path& folder);

/// Looks at an environment before LMDB opens it, since LMDB crashes on damage. One that is damaged
/// is set aside, and a fresh one with all that can be read of it takes its place. Nothing is done
/// where nothing is wrong. A crash at any moment is harmless: the next call goes on. Returns the
/// folder in which the damaged one is kept, if this call replaced it. Throws lmdb::Error, and
/// SpoolError where a folder cannot be synced.
std::optional<std::filesystem::path> mend(const MendingPlan& plan, lmdb::File::Scrutiny scrutiny);

/// Writes an environment again whose folder was removed or replaced, from its data file, in which
/// nobody may write meanwhile. What stands at its place now is set aside. Returns the new data file
/// once it is on disk. Throws as mend() does.
[[nodiscard]] Fd write_again(const Fd& file, const std::filesystem::path& folder);

/// Remembers that the environment has been made: from then on a missing or empty file is damage and
/// not a first start. Idempotent.
void mark_made(const std::filesystem::path& folder);
[[nodiscard]] bool is_made(const std::filesystem::path& folder);

}  // namespace m2b
