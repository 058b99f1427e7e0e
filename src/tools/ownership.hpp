#pragma once

#include <sys/types.h>

#include <filesystem>
#include <vector>

#include "m2b/util/fd.hpp"

namespace m2b {

/// Whose a spool is. Root's folder may be the spool of another user who has got the right to write
/// to it, as a volume of Kubernetes with fsGroup has: then what is in it tells.
struct SpoolOwner {
  uid_t user = 0;
  gid_t group = 0;
  gid_t group_of_folder = 0;
};

/// SPOOL_DIR as a tool has found it, once: the path may lead through links, and through folders
/// that only the caller may enter.
class SpoolFolder {
 public:
  explicit SpoolFolder(const std::filesystem::path& folder);

  /// The folder; named by its descriptor where the tool is to work as somebody else.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Root's where it makes no difference: the caller is not root, or nothing is there.
  [[nodiscard]] const SpoolOwner& owner() const noexcept { return owner_; }

 private:
  Fd fd_;
  std::filesystem::path path_;
  SpoolOwner owner_;
};

/// While it lives, the process has no more rights than whom the spool belongs to: where root runs a
/// tool on the spool of another user, all that is opened and made below that folder is so by that
/// user, whatever he has put there. Nothing happens where the owner is root. The calling thread is
/// the only one at its begin and end; at most one at a time. Throws SpoolError where the rights
/// cannot be given up (a container without CAP_SETUID).
class AsOwnerOf {
 public:
  explicit AsOwnerOf(const SpoolFolder& folder);
  ~AsOwnerOf();
  AsOwnerOf(const AsOwnerOf&) = delete;
  AsOwnerOf& operator=(const AsOwnerOf&) = delete;

 private:
  bool is_another_;
  gid_t group_before_;
  std::vector<gid_t> groups_before_;
};

}  // namespace m2b
