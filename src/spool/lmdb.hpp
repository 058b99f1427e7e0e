#pragma once

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/fd.hpp"
#include "m2b/util/handle.hpp"
#include "spool/private_files.hpp"

/// The only place that knows LMDB's handles. Every return code is checked; what the caller has to
/// expect (not found) is a value, everything else an lmdb::Error.
namespace m2b::lmdb {

/// A failed call, with the C function's name and LMDB's code or errno.
class Error : public std::runtime_error {
 public:
  Error(const char* function, int code)
      : std::runtime_error(std::string(function) + ": " + mdb_strerror(code)), code_(code) {}
  [[nodiscard]] int code() const noexcept { return code_; }
  /// The file is not what LMDB wrote.
  [[nodiscard]] bool is_damage() const noexcept {
    return code_ == MDB_CORRUPTED || code_ == MDB_PAGE_NOTFOUND;
  }

 private:
  int code_;
};

inline void check(int code, const char* function) {
  if (code != MDB_SUCCESS) {
    throw Error(function, code);
  }
}

[[nodiscard]] inline MDB_val to_val(std::string_view bytes) noexcept {
  // LMDB's interface has no const; it does not write through keys and values that it is given.
  return {bytes.size(), const_cast<char*>(bytes.data())};
}
[[nodiscard]] inline std::string_view to_view(const MDB_val& val) noexcept {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

using EnvHandle = Handle<MDB_env, &mdb_env_close>;

/// LMDB writes its table of readers through a map of a file that it has only made long, not given
/// blocks: on a full disk that is SIGBUS. With the blocks there beforehand it is an error.
inline void reserve_lock_file(const Fd& folder, const std::filesystem::path& directory) {
  constexpr off_t kBytes = off_t{64} * 1024;  // more than the table of kMaxReaders takes
  const Fd file = private_files::open_file(folder, directory / "lock.mdb", O_RDWR | O_CREAT);
  check(::posix_fallocate(file.get(), 0, kBytes), "posix_fallocate lock.mdb");
}

/// LMDB opens its two files by path and follows links. So both are looked at before, and the folder
/// that was looked at is named by its descriptor: nobody can put a link in its place meanwhile.
[[nodiscard]] inline std::string path_of(const Fd& folder, const std::filesystem::path& directory) {
  std::string by_descriptor = "/proc/self/fd/" + std::to_string(folder.get());
  return ::access(by_descriptor.c_str(), F_OK) == 0 ? by_descriptor : directory.string();
}

/// Opens the environment in `directory` for durable commits: none of LMDB's unsafe flags.
[[nodiscard]] inline EnvHandle open_env(const std::filesystem::path& directory,
                                        std::uint64_t map_bytes) {
  constexpr unsigned kMaxDatabases = 4;
  constexpr unsigned kMaxReaders = 256;
  const Fd folder = private_files::open_folder(directory);
  static_cast<void>(private_files::open_file(folder, directory / "data.mdb", O_RDONLY));
  reserve_lock_file(folder, directory);
  MDB_env* raw = nullptr;
  check(mdb_env_create(&raw), "mdb_env_create");
  EnvHandle env(raw);
  check(mdb_env_set_mapsize(raw, map_bytes), "mdb_env_set_mapsize");
  check(mdb_env_set_maxdbs(raw, kMaxDatabases), "mdb_env_set_maxdbs");
  check(mdb_env_set_maxreaders(raw, kMaxReaders), "mdb_env_set_maxreaders");
  const unsigned sabotage = (is_sabotaged(Sabotage::no_sync) ? MDB_NOSYNC : 0U) |
                            (is_sabotaged(Sabotage::no_meta_sync) ? MDB_NOMETASYNC : 0U);
  // Not MDB_NOMEMINIT, by which the unused parts of pages would hold what lay in our memory before:
  // passwords, and pictures that are long gone.
  check(mdb_env_open(raw, path_of(folder, directory).c_str(), MDB_NOTLS | sabotage, 0600),
        "mdb_env_open");
  return env;
}

/// The environment's data file, for as long as it is wanted: also after the environment is closed
/// or the file is removed.
[[nodiscard]] inline Fd file_of(MDB_env* env) {
  mdb_filehandle_t fd = -1;
  check(mdb_env_get_fd(env, &fd), "mdb_env_get_fd");
  Fd file(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!file) {
    throw Error("dup", errno);
  }
  return file;
}

[[nodiscard]] inline bool is_same_file(const struct stat& one, const struct stat& other) noexcept {
  return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}
[[nodiscard]] inline bool is_same_file(const Fd& one, const Fd& other) noexcept {
  struct stat first {};
  struct stat second {};
  return ::fstat(one.get(), &first) == 0 && ::fstat(other.get(), &second) == 0 &&
         is_same_file(first, second);
}

/// Whether the open file is still the one at that place, or that cannot be told. One that was
/// removed lives on while it is open, and commits into it succeed.
[[nodiscard]] inline bool is_in_place(const Fd& file, const std::filesystem::path& place) noexcept {
  struct stat open_file {};
  struct stat at_its_place {};
  if (::lstat(place.c_str(), &at_its_place) != 0) {
    return errno != ENOENT && errno != ENOTDIR;
  }
  return ::fstat(file.get(), &open_file) != 0 || is_same_file(open_file, at_its_place);
}

/// A transaction; aborted unless it is committed.
class Txn {
 public:
  [[nodiscard]] static Txn read(MDB_env* env) { return Txn(env, MDB_RDONLY); }
  [[nodiscard]] static Txn write(MDB_env* env) { return Txn(env, 0); }

  [[nodiscard]] MDB_txn* get() const noexcept { return txn_.get(); }
  /// Returns after the data is on disk. The transaction is over, whatever happens.
  void commit() && { check(mdb_txn_commit(txn_.release()), "mdb_txn_commit"); }

 private:
  Txn(MDB_env* env, unsigned flags) {
    MDB_txn* raw = nullptr;
    check(mdb_txn_begin(env, nullptr, flags, &raw), "mdb_txn_begin");
    txn_.reset(raw);
  }

  Handle<MDB_txn, &mdb_txn_abort> txn_;
};

/// The environment's file, for questions about the disk that it is on.
[[nodiscard]] inline int file_of(const Txn& txn) {
  mdb_filehandle_t fd = -1;
  check(mdb_env_get_fd(mdb_txn_env(txn.get()), &fd), "mdb_env_get_fd");
  return fd;
}

[[nodiscard]] inline MDB_dbi open_database(const Txn& txn, const char* name, unsigned flags) {
  MDB_dbi dbi = 0;
  check(mdb_dbi_open(txn.get(), name, flags, &dbi), "mdb_dbi_open");
  return dbi;
}

using CursorHandle = Handle<MDB_cursor, &mdb_cursor_close>;

/// A cursor; must not outlive its transaction.
[[nodiscard]] inline CursorHandle open_cursor(const Txn& txn, MDB_dbi dbi) {
  MDB_cursor* raw = nullptr;
  check(mdb_cursor_open(txn.get(), dbi, &raw), "mdb_cursor_open");
  return CursorHandle(raw);
}

/// The value of a key, valid until the transaction ends or writes.
[[nodiscard]] inline std::optional<std::string_view> get(const Txn& txn, MDB_dbi dbi,
                                                         std::string_view key) {
  MDB_val key_val = to_val(key);
  MDB_val value{};
  const int code = mdb_get(txn.get(), dbi, &key_val, &value);
  if (code == MDB_NOTFOUND) {
    return std::nullopt;
  }
  check(code, "mdb_get");
  return to_view(value);
}

/// Unmaps the pages of a value that has been read, and has pages of its own; they stay in the page
/// cache. Otherwise a large record counts twice as memory of the process: mapped and copied.
/// Nothing happens to a page that the transaction itself has written, which is no part of the map.
inline void forget(std::string_view value) noexcept {
  constexpr std::size_t kPageBytes = 4096;
  constexpr std::size_t kHeaderBytes = 16;  // PAGEHDRSZ
  constexpr std::size_t kFlagsAt = 10;
  constexpr std::uint16_t kOverflow = 0x04;
  constexpr std::uint16_t kDirty = 0x10;
  const auto at = reinterpret_cast<std::uintptr_t>(value.data());
  if (at % kPageBytes != kHeaderBytes) {
    return;  // within a leaf
  }
  char* const page = const_cast<char*>(value.data()) - kHeaderBytes;
  std::uint16_t flags = 0;
  std::memcpy(&flags, page + kFlagsAt, sizeof flags);
  if ((flags & (kOverflow | kDirty)) == kOverflow) {
    static_cast<void>(::madvise(page, kHeaderBytes + value.size(), MADV_DONTNEED));
  }
}

inline void put(const Txn& txn, MDB_dbi dbi, std::string_view key, std::string_view value) {
  MDB_val key_val = to_val(key);
  MDB_val value_val = to_val(value);
  check(mdb_put(txn.get(), dbi, &key_val, &value_val, 0), "mdb_put");
}

/// Nothing happens where the key is not there.
inline void erase(const Txn& txn, MDB_dbi dbi, std::string_view key) {
  MDB_val key_val = to_val(key);
  const int code = mdb_del(txn.get(), dbi, &key_val, nullptr);
  if (code != MDB_NOTFOUND) {
    check(code, "mdb_del");
  }
}

/// Pages in use by the database, in bytes.
[[nodiscard]] inline std::uint64_t used_bytes(const Txn& txn, MDB_dbi dbi) {
  MDB_stat stat{};
  check(mdb_stat(txn.get(), dbi, &stat), "mdb_stat");
  return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
         std::uint64_t{stat.ms_psize};
}

/// Pages that the newest commit freed. The next commit leaves them alone, since the meta page of
/// the one before still leads to them; only the one after that uses them again. `txn` only reads.
[[nodiscard]] inline std::uint64_t newly_freed_pages(const Txn& txn) {
  constexpr MDB_dbi kFreePages = 0;  // by number of the commit: how many, and which
  const CursorHandle cursor = open_cursor(txn, kFreePages);
  std::size_t commit = mdb_txn_id(txn.get());
  MDB_val key{sizeof commit, &commit};
  MDB_val value{};
  const int code = mdb_cursor_get(cursor.get(), &key, &value, MDB_SET);
  if (code == MDB_NOTFOUND) {
    return 0;
  }
  check(code, "mdb_cursor_get");
  std::size_t count = 0;
  std::memcpy(&count, value.mv_data, std::min(sizeof count, value.mv_size));
  return count;
}

}  // namespace m2b::lmdb
