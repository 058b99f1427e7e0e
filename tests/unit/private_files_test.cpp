#include "spool/private_files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "m2b/spool/spool.hpp"
#include "spool/lmdb.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("private_files") {
  using namespace m2b;
  namespace fs = std::filesystem;
  namespace files = private_files;

  struct Folder {
    test::TempDir dir;
    fs::path outside = dir.path() / "outside";
    fs::path spool = dir.path() / "spool";

    Folder() {
      std::ofstream(outside) << "somebody's";
      fs::create_directory(spool);
    }
    [[nodiscard]] std::string outside_text() const {
      std::string text;
      std::getline(std::ifstream(outside), text);
      return text;
    }
  };

  TEST_CASE_FIXTURE(Folder, "a file is made for the owner alone, and opened again") {
    CHECK_FALSE(files::open_file(spool / "file", O_RDWR));
    CHECK_FALSE(files::has_file(spool / "file"));
    const Fd made = files::open_file(spool / "file", O_RDWR | O_CREAT);
    struct stat status {};
    REQUIRE(::fstat(made.get(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(files::open_file(spool / "file", O_RDONLY));
    CHECK(files::has_file(spool / "file"));
    CHECK_THROWS_AS(static_cast<void>(files::open_file(spool / "no" / "file", O_RDONLY)),
                    lmdb::Error);
  }

  TEST_CASE_FIXTURE(Folder, "what is no file is refused by its name, and not waited for") {
    fs::create_symlink(outside, spool / "link");
    fs::create_symlink(dir.path() / "nothing", spool / "dangling");
    fs::create_directory(spool / "folder");
    REQUIRE(::mkfifo((spool / "fifo").c_str(), 0600) == 0);
    const auto is_refused = [&](const char* name, const std::string& kind) {
      for (const int flags : {O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT}) {
        CHECK_THROWS_WITH_AS(static_cast<void>(files::open_file(spool / name, flags)),
                             doctest::Contains(((spool / name).string() + " is " + kind).c_str()),
                             SpoolError);
      }
      CHECK_THROWS_AS(static_cast<void>(files::has_file(spool / name)), SpoolError);
      CHECK(files::is_there(spool / name));
    };
    is_refused("link", "a symbolic link");
    is_refused("dangling", "a symbolic link");
    is_refused("folder", "a folder");
    is_refused("fifo", "a FIFO");
    CHECK_FALSE(files::is_there(dir.path() / "nothing"));
    CHECK(outside_text() == "somebody's");
  }

  TEST_CASE_FIXTURE(Folder,
                    "a second name of a file is refused where it could be somebody else's") {
    fs::create_hard_link(outside, spool / "second");
    if (::geteuid() == 0) {
      CHECK_THROWS_WITH_AS(static_cast<void>(files::open_file(spool / "second", O_RDWR)),
                           doctest::Contains("hard links"), SpoolError);
    } else {
      CHECK(files::open_file(spool / "second", O_RDWR));
    }
  }

  TEST_CASE_FIXTURE(Folder, "a new file takes the place of a link and leaves what it led to") {
    fs::create_symlink(outside, spool / "file");
    const Fd made = files::make_file(spool / "file");
    CHECK(::write(made.get(), "x", 1) == 1);
    CHECK(outside_text() == "somebody's");
    CHECK(files::has_file(spool / "file"));
  }

  TEST_CASE_FIXTURE(Folder, "a folder that is a link is refused, and so is all that is in it") {
    fs::create_directory_symlink(spool, dir.path() / "link");
    std::ofstream(spool / "file") << "x";
    CHECK_THROWS_WITH_AS(static_cast<void>(files::open_folder(dir.path() / "link")),
                         doctest::Contains("is a symbolic link"), SpoolError);
    CHECK_THROWS_AS(files::make_folder(dir.path() / "link"), SpoolError);
    CHECK_THROWS_AS(static_cast<void>(files::open_file(dir.path() / "link" / "file", O_RDONLY)),
                    SpoolError);
    CHECK(files::make_folder(spool / "new"));
    CHECK_FALSE(files::make_folder(spool / "new"));
  }

  TEST_CASE_FIXTURE(Folder, "a path by a descriptor is shown as the folder that it is") {
    const Fd fd = files::open_folder(spool);
    const fs::path by_descriptor = "/proc/self/fd/" + std::to_string(fd.get());
    CHECK(files::shown(by_descriptor) == spool.string());
    CHECK(files::shown(by_descriptor / "records" / "made") ==
          (spool / "records" / "made").string());
    CHECK(files::shown(spool / "x") == (spool / "x").string());
    CHECK(files::shown("/proc/self/fd/99999/x") == "/proc/self/fd/99999/x");
    CHECK(files::has_file(by_descriptor / "x") == false);
  }
}

}  // namespace
