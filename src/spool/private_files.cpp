#include "spool/private_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "m2b/spool/spool.hpp"
#include "spool/lmdb.hpp"

namespace m2b::private_files {
namespace {

namespace fs = std::filesystem;

using Status = struct stat;

const char* kind_of(const Status& status) {
  switch (status.st_mode & S_IFMT) {
    case S_IFLNK:
      return "a symbolic link";
    case S_IFDIR:
      return "a folder";
    case S_IFREG:
      return "a file that has other names as well (hard links)";
    case S_IFIFO:
      return "a FIFO";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

[[noreturn]] void refuse(const fs::path& path, const Status& status, const char* expected) {
  throw SpoolError(fmt::format(
      "{} is {}, and must be {}: below SPOOL_DIR there is only what the spool itself made. Find "
      "out who made it, and remove it; to have the spool on another disk, mount that disk at "
      "SPOOL_DIR, or make SPOOL_DIR itself the link",
      shown(path), kind_of(status), expected));
}

[[noreturn]] void fail(const char* function, const fs::path& path, int error) {
  throw lmdb::Error((std::string(function) + " " + path.filename().string()).c_str(), error);
}

/// Without following a link; nothing where there is nothing.
std::optional<Status> status_of(const fs::path& path) {
  Status status{};
  if (::lstat(path.c_str(), &status) == 0) {
    return status;
  }
  if (errno != ENOENT) {
    fail("stat", path, errno);
  }
  return std::nullopt;
}

/// A second name of a file that is not ours would let its owner's file be written.
bool is_second_name(const Status& status) {
  return status.st_nlink > 1 && (::geteuid() == 0 || status.st_uid != ::geteuid());
}

bool is_file_of_ours(const Status& status) {
  return S_ISREG(status.st_mode) && !is_second_name(status);
}

constexpr const char* kFile = "a regular file with one name";
constexpr const char* kFolder = "a folder";

}  // namespace

Fd open_folder(const fs::path& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    const int error = errno;
    if (const auto status = status_of(folder); status && !S_ISDIR(status->st_mode)) {
      refuse(folder, *status, kFolder);
    }
    fail("open", folder, error);
  }
  return fd;
}

Fd open_file(const Fd& folder, const fs::path& path, int flags) {
  // Not O_TRUNC, which would have its effect before the look at what was opened.
  Fd fd(::openat(folder.get(), path.filename().c_str(),
                 flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, S_IRUSR | S_IWUSR));
  Status status{};
  if (fd) {
    if (::fstat(fd.get(), &status) != 0) {
      fail("fstat", path, errno);
    }
    if (!is_file_of_ours(status)) {
      refuse(path, status, kFile);
    }
    return fd;
  }
  const int error = errno;
  if (::fstatat(folder.get(), path.filename().c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      !is_file_of_ours(status)) {
    refuse(path, status, kFile);
  }
  if (error != ENOENT) {
    fail("open", path, error);
  }
  return {};
}

Fd open_file(const fs::path& path, int flags) {
  return open_file(open_folder(path.parent_path()), path, flags);
}

Fd make_file(const fs::path& path) {
  const Fd folder = open_folder(path.parent_path());
  const std::string name = path.filename().string();
  ::unlinkat(folder.get(), name.c_str(), 0);
  Fd fd(::openat(folder.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 S_IRUSR | S_IWUSR));
  if (!fd) {
    fail("open", path, errno);
  }
  return fd;
}

bool has_file(const fs::path& path) {
  const auto status = status_of(path);
  if (status && !is_file_of_ours(*status)) {
    refuse(path, *status, kFile);
  }
  return status.has_value();
}

bool is_there(const fs::path& path) { return status_of(path).has_value(); }

bool make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), S_IRWXU) == 0) {
    return true;
  }
  if (errno != EEXIST) {
    fail("mkdir", folder, errno);
  }
  static_cast<void>(open_folder(folder));
  return false;
}

std::string shown(const fs::path& path) {
  constexpr std::ptrdiff_t kComponents = 5;  // "/", "proc", "self", "fd", "N"
  std::string text = path.string();
  if (!text.starts_with("/proc/self/fd/")) {
    return text;
  }
  fs::path link;
  auto at = path.begin();
  for (std::ptrdiff_t i = 0; i < kComponents; ++i, ++at) {
    link /= *at;
  }
  std::error_code error;
  fs::path real = fs::read_symlink(link, error);
  for (; at != path.end(); ++at) {
    real /= *at;
  }
  return error ? text : real.string();
}

}  // namespace m2b::private_files
