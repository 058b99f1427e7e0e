#include "tools/ownership.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace m2b {
namespace {

[[noreturn]] void fail(const char* what, const std::filesystem::path& path) {
  throw std::filesystem::filesystem_error(what, path,
                                          std::error_code(errno, std::generic_category()));
}

struct stat status_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    fail("cannot look at", path);
  }
  return status;
}

}  // namespace

void give_to_owner_of(const std::filesystem::path& folder) {
  if (::geteuid() != 0) {
    return;
  }
  // Where the folder is a link, as systemd makes them, it is what it leads to.
  const std::filesystem::path real = std::filesystem::canonical(folder);
  const struct stat owner = status_of(real);
  if (owner.st_uid == 0) {
    return;
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(real)) {
    const struct stat status = status_of(entry.path());
    const bool is_ours = status.st_uid == 0;
    // The owner may have put a second name of a file in there that is not his.
    const bool is_only_there = S_ISDIR(status.st_mode) || status.st_nlink == 1;
    if (is_ours && is_only_there &&
        ::lchown(entry.path().c_str(), owner.st_uid, owner.st_gid) != 0) {
      fail("cannot give to the owner of the spool", entry.path());
    }
  }
}

}  // namespace m2b
