#include "tools/ownership.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "m2b/spool/spool.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {
namespace {

SpoolOwner owner_of(const Fd& folder) {
  struct stat status {};
  if (!folder || ::fstat(folder.get(), &status) != 0) {
    return {};  // whoever opens the spool will tell
  }
  SpoolOwner owner{status.st_uid, status.st_gid, status.st_gid};
  for (const char* const name : {"records", "dead-letters", "lock"}) {
    if (owner.user == 0 && ::fstatat(folder.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
      owner.user = status.st_uid;
      owner.group = status.st_gid;
    }
  }
  return owner;
}

std::vector<gid_t> groups_of_process() {
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace

SpoolFolder::SpoolFolder(const std::filesystem::path& folder)
    : fd_(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), path_(folder) {
  if (::geteuid() != 0) {
    return;
  }
  owner_ = owner_of(fd_);
  const std::string by_descriptor = fmt::format("/proc/self/fd/{}", fd_.get());
  if (owner_.user != 0 && ::access(by_descriptor.c_str(), F_OK) == 0) {
    path_ = by_descriptor;
  }
}

AsOwnerOf::AsOwnerOf(const SpoolFolder& folder)
    : is_another_(folder.owner().user != 0),
      group_before_(::getegid()),
      groups_before_(groups_of_process()) {
  if (!is_another_) {
    return;
  }
  const SpoolOwner& owner = folder.owner();
  const std::vector<gid_t> groups{owner.group, owner.group_of_folder};
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setegid(owner.group) != 0 ||
      ::seteuid(owner.user) != 0) {
    throw SpoolError(fmt::format(
        "the spool belongs to user {}, and this tool, which root started, cannot do its work with "
        "the rights of that user: {}. Run it as that user, for example with setpriv --reuid={} "
        "--regid={} --clear-groups, or with docker exec --user {}",
        owner.user, std::generic_category().message(errno), owner.user, owner.group, owner.user));
  }
}

AsOwnerOf::~AsOwnerOf() {
  if (is_another_ && (::seteuid(0) != 0 || ::setegid(group_before_) != 0 ||
                      ::setgroups(groups_before_.size(), groups_before_.data()) != 0)) {
    std::abort();  // nobody knows with whose rights it would go on
  }
}

}  // namespace m2b
