#include "tools/ownership.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/temp_dir.hpp"

namespace {

using m2b::AsOwnerOf;
using m2b::SpoolFolder;

TEST_SUITE("ownership") {
  constexpr uid_t kOwner = 54'321;
  constexpr gid_t kGroup = 54'322;

  /// In a process of its own, which has one thread.
  template <class Check>
  bool holds_in_child(Check check) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(check() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  TEST_CASE("root works with the rights of whom the spool belongs to, and has its own again") {
    if (::geteuid() != 0) {
      return;  // nobody else can take another's rights
    }
    const m2b::test::TempDir dir;
    const std::filesystem::path spool = dir.path() / "spool";
    std::filesystem::create_directory(spool);
    std::filesystem::create_directory_symlink(spool, dir.path() / "entrance");
    REQUIRE(::chown(spool.c_str(), kOwner, kGroup) == 0);
    REQUIRE(::chmod(dir.path().c_str(), 0700) == 0);  // which he cannot enter
    CHECK(holds_in_child([&] {
      const SpoolFolder folder(dir.path() / "entrance");
      {
        const AsOwnerOf owner(folder);
        if (::geteuid() != kOwner || ::getegid() != kGroup) return false;
        std::ofstream(folder.path() / "made") << "x";
        if (std::ofstream(dir.path() / "not his") << "x") return false;
      }
      return ::geteuid() == 0 && ::getegid() == 0 && ::access(dir.path().c_str(), W_OK) == 0;
    }));
    struct stat made {};
    REQUIRE(::stat((spool / "made").c_str(), &made) == 0);
    CHECK(made.st_uid == kOwner);
    CHECK(made.st_gid == kGroup);
  }

  TEST_CASE("root's folder belongs to whom the records in it belong to") {
    if (::geteuid() != 0) {
      return;
    }
    const m2b::test::TempDir dir;
    CHECK(SpoolFolder(dir.path()).owner().user == 0);
    std::ofstream(dir.path() / "lock") << "x";
    CHECK(SpoolFolder(dir.path()).owner().user == 0);
    std::filesystem::create_symlink("/etc", dir.path() / "records");
    REQUIRE(::lchown((dir.path() / "records").c_str(), kOwner, kGroup) == 0);
    CHECK(SpoolFolder(dir.path()).owner().user == kOwner);
    CHECK(SpoolFolder(dir.path()).owner().group == kGroup);
  }

  TEST_CASE("nothing changes for a folder that is one's own, or not there") {
    const m2b::test::TempDir dir;
    for (const std::filesystem::path& path : {dir.path(), dir.path() / "no"}) {
      const SpoolFolder folder(path);
      CHECK(folder.path() == path);
      const AsOwnerOf owner(folder);
      CHECK(::geteuid() == ::getuid());
    }
  }
}

}  // namespace
