#include "spool/mending.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <ctime>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/fd.hpp"
#include "m2b/util/log.hpp"
#include "spool/private_files.hpp"
#include "spool/spool_directory.hpp"

namespace m2b {
namespace {

namespace fs = std::filesystem;
using Snapshot = lmdb::File::Snapshot;

constexpr std::string_view kIncompleteMark = "-incomplete-after-";
constexpr std::string_view kTakenBackMark = "-taken-back-after-";
/// So much is lost of a disk that fills.
constexpr std::size_t kMendedAtATime = std::size_t{1} << 20;

/// Room that is held back while messages are carried over. Where they fill the disk to its last
/// byte, what has to follow (the accounts, the first removals) would find none.
class HeldBackRoom {
 public:
  explicit HeldBackRoom(const fs::path& folder) : file_(folder / "held-back") {
    try {
      const Fd file = private_files::make_file(file_);
      static_cast<void>(::posix_fallocate(file.get(), 0, kBytes));
    } catch (const lmdb::Error&) {
      // A full disk has none to hold.
    }
  }
  ~HeldBackRoom() { give_back(); }
  HeldBackRoom(const HeldBackRoom&) = delete;
  HeldBackRoom& operator=(const HeldBackRoom&) = delete;

  void give_back() const noexcept { ::unlink(file_.c_str()); }

 private:
  static constexpr off_t kBytes = off_t{1} << 20;
  fs::path file_;
};

void rename_durably(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) {
    throw lmdb::Error("rename", error.value());
  }
  SpoolDirectory::sync(from.parent_path());
  if (from.parent_path() != to.parent_path()) {
    SpoolDirectory::sync(to.parent_path());
  }
}

void make_folder(const fs::path& folder) {
  if (private_files::make_folder(folder)) {
    SpoolDirectory::sync(folder.parent_path());
  }
}

fs::path data_file(const fs::path& folder) { return folder / "data.mdb"; }
fs::path made_mark(const fs::path& folder) { return folder / "made"; }
fs::path fresh_folder(const fs::path& folder) { return folder.native() + ".fresh"; }

/// Moves a folder out of the way, under a name that tells what it was and when.
fs::path set_aside(const fs::path& folder, const std::string& mark = "") {
  const fs::path shelf = folder.parent_path() / SpoolDirectory::kSetAside;
  make_folder(shelf);
  const std::string name = fmt::format("{}-{:%Y%m%dT%H%M%SZ}{}", folder.filename().string(),
                                       fmt::gmtime(std::time(nullptr)), mark);
  fs::path place = shelf / name;
  for (int number = 2; private_files::is_there(place); ++number) {
    place = shelf / fmt::format("{}-{}", name, number);
  }
  rename_durably(folder, place);
  return place;
}

/// The damaged file; none when it is missing.
std::optional<lmdb::File> open_damaged(const fs::path& folder) {
  if (!private_files::is_there(folder) || !private_files::has_file(data_file(folder))) {
    return std::nullopt;
  }
  return std::optional<lmdb::File>(std::in_place, data_file(folder));
}

std::optional<std::string> find_fault(const fs::path& folder, lmdb::File::Scrutiny scrutiny) {
  const auto file = open_damaged(folder);
  if (file && !file->is_empty()) {
    return file->find_fault(scrutiny);
  }
  if (is_made(folder)) {
    return std::string(file ? "data.mdb is empty" : "data.mdb is missing");
  }
  return std::nullopt;
}

/// Carries entries from a damaged file into a fresh environment.
class Carrier {
 public:
  Carrier(const MendingPlan& plan, MDB_env* fresh) : env_(fresh), txn_(lmdb::Txn::write(fresh)) {
    for (const DatabaseSpec& database : plan.databases) {
      databases_.emplace(database.name,
                         lmdb::open_database(txn_, database.name, database.flags | MDB_CREATE));
    }
  }

  /// The newest commit, and what only the one before still has: the newest one's way to it may be
  /// damaged. What was removed by the last commit comes back that way, which is harmless: it is
  /// stored once more, under the same key, in the same order.
  void carry_all(const MendingPlan& plan, const lmdb::File& from) {
    for (const Snapshot snapshot : {Snapshot::newest, Snapshot::previous}) {
      for (const DatabaseSpec& database : plan.databases) {
        from.walk(snapshot, database.name,
                  [&](std::string_view key, const lmdb::File::Value& value) {
                    carry(from, database, key, value);
                  });
      }
    }
  }

  void finish() { std::move(txn_).commit(); }

 private:
  void carry(const lmdb::File& from, const DatabaseSpec& database, std::string_view key,
             const lmdb::File::Value& value) {
    if ((database.flags & MDB_INTEGERKEY) != 0 && key.size() != sizeof(std::uint64_t)) {
      return;
    }
    const MDB_dbi dbi = databases_.at(database.name);
    const std::string aligned_key(key);  // LMDB reads integers where they stand
    if (lmdb::get(txn_, dbi, aligned_key)) {
      return;
    }
    const auto bytes = from.load(value);
    if (!bytes) {
      return;
    }
    lmdb::put(txn_, dbi, aligned_key, *bytes);
    batch_bytes_ += bytes->size();
    if (batch_bytes_ >= kMendedAtATime) {
      batch_bytes_ = 0;
      std::move(txn_).commit();
      txn_ = lmdb::Txn::write(env_);
    }
  }

  MDB_env* env_;
  lmdb::Txn txn_;
  std::map<std::string, MDB_dbi> databases_;
  std::size_t batch_bytes_ = 0;
};

/// Where to go on when the disk had no room for all of it; nothing when it had.
std::optional<std::uint64_t> fill(const MendingPlan& plan, MDB_env* fresh,
                                  const lmdb::File* damaged) {
  bool disk_was_full = false;
  const HeldBackRoom room(plan.folder);
  if (damaged != nullptr) {
    try {
      Carrier carrier(plan, fresh);
      carrier.carry_all(plan, *damaged);
      carrier.finish();
    } catch (const lmdb::Error& error) {
      if (!SpoolDirectory::is_full(error.code(), plan.folder)) {
        throw;
      }
      disk_was_full = true;
    }
  }
  room.give_back();
  if (!plan.settle) {
    return disk_was_full ? std::optional(std::uint64_t{0}) : std::nullopt;
  }
  lmdb::Txn txn = lmdb::Txn::write(fresh);
  const auto rest = plan.settle(txn, damaged, disk_was_full);
  std::move(txn).commit();
  return rest;
}

void copy_all(const Fd& from, const Fd& to) {
  constexpr std::size_t kAtATime = std::size_t{1} << 20;
  off_t at = 0;
  ssize_t copied = 0;
  do {
    copied = ::sendfile(to.get(), from.get(), &at, kAtATime);
    if (copied < 0 && errno != EINTR) {
      throw lmdb::Error("sendfile", errno);
    }
  } while (copied != 0);
}

void log_mended(const MendingPlan& plan, const std::string& fault, const fs::path& kept_at,
                bool complete) {
  log::error("spool",
             "was damaged: what can be read goes on, and the damaged file is kept; messages that "
             "are only in there are counted as set aside",
             {{"folder", private_files::shown(plan.folder)},
              {"fault", fault},
              {"kept_at", private_files::shown(kept_at)},
              {"complete", complete}});
}

}  // namespace

std::optional<fs::path> mend(const MendingPlan& plan, lmdb::File::Scrutiny scrutiny) {
  const fs::path fresh = fresh_folder(plan.folder);
  const bool was_interrupted = private_files::is_there(fresh);
  if (was_interrupted) {
    static_cast<void>(private_files::open_folder(fresh));  // not a link to elsewhere
  }
  const bool was_set_aside =
      was_interrupted && !private_files::has_file(data_file(plan.folder)) && !is_made(plan.folder);
  if (was_set_aside) {
    rename_durably(fresh, plan.folder);  // the crash came between the last two steps
    return mend(plan, scrutiny);
  }
  const std::optional<std::string> found = find_fault(plan.folder, scrutiny);
  if (!found && !was_interrupted) {
    return std::nullopt;
  }
  if (was_interrupted && find_fault(fresh, scrutiny)) {
    static_cast<void>(set_aside(fresh));
  }

  const std::string fault = found.value_or("mending it was interrupted");
  if (const auto held_back = plan.lines->admit(fault)) {
    log::warn("spool", "is damaged and being mended",
              {{"folder", private_files::shown(plan.folder)},
               {"fault", fault},
               {"repeated", *held_back}});
  }
  make_folder(fresh);
  std::optional<std::uint64_t> rest;
  {
    const lmdb::EnvHandle env = lmdb::open_env(fresh, plan.map_bytes);
    const auto damaged = open_damaged(plan.folder);
    fail_point("mending.before_fill");
    rest = fill(plan, env.get(), damaged ? &*damaged : nullptr);
  }
  fail_point("mending.filled");
  mark_made(fresh);
  SpoolDirectory::sync(fresh);
  fail_point("mending.marked");
  fs::path kept_at =
      set_aside(plan.folder, rest ? fmt::format("{}{}", kIncompleteMark, *rest) : "");
  fail_point("mending.set_aside");
  rename_durably(fresh, plan.folder);
  fail_point("mending.renamed");
  log_mended(plan, fault, kept_at, !rest);
  return kept_at;
}

std::optional<std::uint64_t> rest_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const std::size_t mark = name.find(kIncompleteMark);
  if (mark == std::string::npos) {
    return std::nullopt;
  }
  const char* const digits = name.data() + mark + kIncompleteMark.size();
  std::uint64_t id = 0;
  const auto [rest, error] = std::from_chars(digits, name.data() + name.size(), id);
  return error == std::errc() ? std::optional(id) : std::nullopt;
}

void mark_taken_back(const fs::path& folder) {
  std::string name = folder.filename().string();
  name.replace(name.find(kIncompleteMark), kIncompleteMark.size(), kTakenBackMark);
  rename_durably(folder, folder.parent_path() / name);
}

Fd write_again(const Fd& file, const fs::path& folder) {
  if (private_files::is_there(folder)) {
    static_cast<void>(set_aside(folder));
  }
  make_folder(folder);
  Fd copy(::open(data_file(folder).c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 S_IRUSR | S_IWUSR));
  if (!copy) {
    throw lmdb::Error("open data.mdb", errno);
  }
  copy_all(file, copy);
  if (::fsync(copy.get()) != 0) {
    throw lmdb::Error("fsync data.mdb", errno);
  }
  SpoolDirectory::sync(folder);
  return copy;
}

bool is_made(const std::filesystem::path& folder) {
  return private_files::has_file(made_mark(folder));
}

void mark_made(const std::filesystem::path& folder) {
  if (is_made(folder)) {
    return;
  }
  fail_point("start.before_made");
  static_cast<void>(private_files::open_file(made_mark(folder), O_WRONLY | O_CREAT));
  SpoolDirectory::sync(folder);
}

}  // namespace m2b
