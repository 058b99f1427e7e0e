#include "m2b/util/process.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

TEST_SUITE("process") {
  using namespace m2b;

  // That /proc/PID/environ no longer shows it, and a core dump neither, is seen in test_secrets.py.
  TEST_CASE("a hidden variable is read as before") {
    ::setenv("M2B_TEST_SECRET", "canary", 1);
    const std::vector<std::string> variables{"M2B_TEST_SECRET", "M2B_TEST_NOT_SET"};
    hide_from_process_list(variables);
    CHECK(std::string(std::getenv("M2B_TEST_SECRET")) == "canary");
    hide_from_process_list(variables);
    CHECK(std::string(std::getenv("M2B_TEST_SECRET")) == "canary");
    CHECK(std::getenv("M2B_TEST_NOT_SET") == nullptr);
    ::unsetenv("M2B_TEST_SECRET");
  }

  /// What becomes of a process in which these are closed: 0, or which check failed.
  int reserved_in_child(const std::vector<int>& closed) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (const int fd : closed) ::close(fd);
      reserve_standard_descriptors();
      constexpr std::array<int, 3> kModes{O_RDONLY, O_WRONLY, O_WRONLY};
      for (const int fd : closed) {
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags == -1) ::_exit(1);
        if ((flags & O_ACCMODE) != kModes.at(static_cast<std::size_t>(fd))) ::_exit(2);
      }
      ::_exit(::open("/", O_PATH) > STDERR_FILENO ? 0 : 3);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
  }

  TEST_CASE("closed standard descriptors are opened, and the others left alone") {
    for (const std::vector<int>& closed :
         {std::vector{0, 1, 2}, {0}, {1}, {2}, {0, 2}, {1, 2}, std::vector<int>{}}) {
      CHECK(reserved_in_child(closed) == 0);
    }
  }

  TEST_CASE("core dumps are told to hold no memory") {
    const std::string path = "/proc/self/coredump_filter";
    std::string before;
    std::ifstream(path) >> before;
    keep_memory_out_of_core_dumps();
    std::string after;
    std::ifstream(path) >> after;
    CHECK(after == "00000010");
    std::ofstream(path) << "0x" << before;  // for the tests that come
  }
}

}  // namespace
