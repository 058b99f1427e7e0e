#include "tools/ownership.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/temp_dir.hpp"

namespace {

using m2b::give_to_owner_of;

TEST_SUITE("ownership") {
  constexpr uid_t kOwner = 54'321;

  uid_t owner_of(const std::filesystem::path& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_uid;
  }

  TEST_CASE("what root made in a folder belongs to whom the folder belongs") {
    const m2b::test::TempDir dir;
    const std::filesystem::path spool = dir.path() / "spool";
    const std::filesystem::path outside = dir.path() / "outside";
    std::filesystem::create_directories(spool / "records");
    std::ofstream(spool / "records" / "data") << "x";
    std::ofstream(outside) << "x";
    std::filesystem::create_hard_link(outside, spool / "second-name");
    std::filesystem::create_symlink(outside, spool / "link");
    const std::filesystem::path entrance = dir.path() / "entrance";
    std::filesystem::create_directory_symlink(spool, entrance);
    const uid_t user = ::geteuid();
    const bool is_root = user == 0;  // others may not give anything away
    const uid_t owner = is_root ? kOwner : user;
    REQUIRE(::chown(spool.c_str(), owner, static_cast<gid_t>(-1)) == 0);
    give_to_owner_of(entrance);
    CHECK(owner_of(spool / "records") == owner);
    CHECK(owner_of(spool / "records" / "data") == owner);
    CHECK(owner_of(spool / "link") == owner);
    CHECK(owner_of(spool / "second-name") == user);
    CHECK(owner_of(outside) == user);
  }

  TEST_CASE("a folder that is not there is told") {
    if (::geteuid() == 0) {
      CHECK_THROWS_AS(give_to_owner_of("/no/such/folder"), std::filesystem::filesystem_error);
    } else {
      CHECK_NOTHROW(give_to_owner_of("/no/such/folder"));
    }
  }
}

}  // namespace
