#include "spool/spool_directory.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <system_error>

#include "m2b/spool/spool.hpp"
#include "m2b/spool/spool_reader.hpp"
#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "spool/capacity.hpp"
#include "spool/lmdb.hpp"
#include "spool/private_files.hpp"

namespace m2b {
namespace {

constexpr mode_t kPrivateDirectory = 0700;

[[noreturn]] void fail(const std::filesystem::path& path, const char* what, int error) {
  throw SpoolError(fmt::format(
      "{} {}: {}. SPOOL_DIR must be a folder on a local disk that this user (uid {}) may write to",
      what, private_files::shown(path), std::generic_category().message(error), ::geteuid()));
}

void make_directory(const std::filesystem::path& path) {
  if (!path.has_filename()) {
    return make_directory(path.parent_path());  // a slash at the end
  }
  const std::filesystem::path parent = path.parent_path().empty() ? "." : path.parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return;
  }
  std::filesystem::create_directories(parent, error);
  // Private from the first moment: what opens it before its mode is changed keeps it open.
  if (!error && ::mkdir(path.c_str(), kPrivateDirectory) != 0 && errno != EEXIST) {
    error = std::error_code(errno, std::generic_category());
  }
  if (error || !std::filesystem::is_directory(path, error)) {
    fail(path, "cannot make the folder", error ? error.value() : ENOTDIR);
  }
  SpoolDirectory::sync(parent);
}

std::string read_holder(int fd) {
  std::array<char, 256> text{};
  const ssize_t bytes = ::pread(fd, text.data(), text.size(), 0);
  std::string holder(text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  while (!holder.empty() && holder.back() == '\n') {
    holder.pop_back();
  }
  return holder.empty() ? "another process" : holder;
}

void write_holder(int fd) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string text = fmt::format("process {} on host {}, started {:%Y-%m-%dT%H:%M:%SZ}\n",
                                       ::getpid(), host.data(), fmt::gmtime(std::time(nullptr)));
  // Only information for the next one: whether it could be written does not matter.
  if (::ftruncate(fd, 0) == 0) {
    [[maybe_unused]] const ssize_t written = ::pwrite(fd, text.data(), text.size(), 0);
  }
}

/// SPOOL_DIR itself may be a link; what is in it may not.
Fd open_lock(const std::filesystem::path& directory, int flags) {
  const std::filesystem::path path = directory / "lock";
  const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    fail(directory, "cannot open", errno);
  }
  try {
    return private_files::open_file(folder, path, flags);
  } catch (const lmdb::Error& error) {
    fail(path, "cannot open", error.code());
  }
}

SpoolDirectory::Space space_in(const struct statvfs& stat) noexcept {
  return {.free_bytes = std::uint64_t{stat.f_bavail} * stat.f_frsize,
          .total_bytes = std::uint64_t{stat.f_blocks} * stat.f_frsize};
}

Fd take_lock(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "lock";
  Fd lock = open_lock(directory, O_RDWR | O_CREAT);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      fail(path, "cannot lock", errno);
    }
    const bool is_read = ::flock(lock.get(), LOCK_SH | LOCK_NB) == 0;
    throw SpoolInUse(
        fmt::format("the spool {} is in use by {}. Two bridges need two folders: set SPOOL_DIR, or "
                    "stop the other",
                    private_files::shown(directory),
                    is_read ? "a tool that reads it" : read_holder(lock.get())));
  }
  write_holder(lock.get());
  return lock;
}

}  // namespace

SpoolDirectory::SpoolDirectory(std::filesystem::path path) : path_(std::move(path)) {
  make_directory(path_);
  lock_ = take_lock(path_);
  struct stat folder {};
  if (::geteuid() == 0 && ::stat(path_.c_str(), &folder) == 0 && folder.st_uid != 0) {
    log::warn("spool",
              "belongs to another user, who can harm a bridge that root runs: run it as him",
              {{"directory", path_.native()}, {"user", std::uint64_t{folder.st_uid}}});
  }
  if (private_files::is_there(path_ / kSetAside)) {
    static_cast<void>(private_files::open_folder(path_ / kSetAside));  // not a link to elsewhere
  }
  fail_point("start.locked");
}

Fd SpoolDirectory::lock_for_reading(const std::filesystem::path& directory) {
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) {
    return {};
  }
  Fd lock = open_lock(directory, O_RDONLY);
  if (lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0) {
    throw SpoolInUse(fmt::format("the spool {} is in use by {}", private_files::shown(directory),
                                 read_holder(lock.get())));
  }
  return lock;
}

void SpoolDirectory::take_again() {
  make_directory(path_);
  struct stat held {};
  struct stat at_its_place {};
  if (::fstat(lock_.get(), &held) != 0 || ::lstat((path_ / "lock").c_str(), &at_its_place) != 0 ||
      held.st_ino != at_its_place.st_ino || held.st_dev != at_its_place.st_dev) {
    lock_ = take_lock(path_);
  }
}

std::filesystem::path SpoolDirectory::subdirectory(const char* name) const {
  std::filesystem::path path = path_ / name;
  try {
    if (private_files::make_folder(path)) {
      sync(path_);
    }
  } catch (const lmdb::Error& error) {
    fail(path, "cannot make the folder", error.code());
  }
  return path;
}

void SpoolDirectory::sync(const std::filesystem::path& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return;  // a parent that we may enter but not read; its entry then is the system's to keep
  }
  if (::fsync(fd.get()) != 0 && errno != EINVAL) {
    fail(directory, "cannot sync", errno);
  }
}

std::uint64_t SpoolDirectory::files_set_aside() const noexcept {
  try {
    return set_aside_in(path_).size();
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

std::vector<std::filesystem::path> SpoolDirectory::set_aside_in(
    const std::filesystem::path& directory) {
  const std::filesystem::path shelf = directory / kSetAside;
  std::vector<std::filesystem::path> found;
  std::error_code none;
  if (std::filesystem::is_symlink(shelf, none)) {
    return found;
  }
  for (std::filesystem::directory_iterator at(shelf, none), end; !none && at != end;
       at.increment(none)) {
    found.push_back(at->path());
  }
  return found;
}

bool SpoolDirectory::is_full(int code, const std::filesystem::path& directory) noexcept {
  constexpr std::uint64_t kNothingLeft = std::uint64_t{1} << 20;
  return code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL ||
         (code == EIO && space_of(directory).free_bytes < kNothingLeft);
}

SpoolDirectory::Space SpoolDirectory::space_of(const std::filesystem::path& path) noexcept {
  struct statvfs stat {};
  return ::statvfs(path.c_str(), &stat) == 0 ? space_in(stat) : Space{};
}

SpoolDirectory::Space SpoolDirectory::space_of(int fd) noexcept {
  struct statvfs stat {};
  return ::fstatvfs(fd, &stat) == 0 ? space_in(stat) : Space{};
}

std::string remedy_of(int code, const std::filesystem::path& directory, std::uint64_t max_bytes) {
  if (code == ENOSPC || code == EDQUOT) {
    return "Make room on that disk, or set SPOOL_DIR to a folder on another";
  }
  if (code == ENOMEM) {
    const std::uint64_t disk = SpoolDirectory::space_of(directory).total_bytes;
    rlimit limit{};
    ::getrlimit(RLIMIT_AS, &limit);
    return fmt::format(
        "The disk is not the cause: the spool's files are mapped into memory, which takes {} MiB "
        "of "
        "address space (SPOOL_MAX_BYTES, and the size of the disk), and this process may have {}. "
        "Raise the limit of address space (ulimit -v, LimitAS of systemd) or take it away; it "
        "costs no memory",
        (map_bytes_for(max_bytes, disk) + map_bytes_for(0, disk)) >> 20U,
        limit.rlim_cur == RLIM_INFINITY ? "any amount, so that memory itself is short"
                                        : fmt::format("{} MiB", limit.rlim_cur >> 20U));
  }
  return "SPOOL_DIR must be on a local disk that can be read and written";
}

}  // namespace m2b
