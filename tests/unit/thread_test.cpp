#include "m2b/util/thread.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

TEST_SUITE("thread") {
  using namespace m2b;

  TEST_CASE("threads that can be had are counted, and are gone afterwards") {
    CHECK(threads_to_be_had(0) == 0);
    for (int round = 0; round < 3; ++round) {
      CHECK(threads_to_be_had(20) == 20);
    }
  }

#ifndef __SANITIZE_THREAD__  // it has a thread of its own, and supports none in a forked process
  TEST_CASE("no more are counted than the limit of the user leaves") {
    if (::geteuid() != 0) {
      return;  // the user's other processes count as well
    }
    constexpr rlimit kSix{6, 6};
    constexpr uid_t kUserOfNothingElse = 54'324;
    const pid_t child = ::fork();
    if (child == 0) {
      const bool limited =
          ::setrlimit(RLIMIT_NPROC, &kSix) == 0 && ::setuid(kUserOfNothingElse) == 0;
      ::_exit(limited ? static_cast<int>(threads_to_be_had(20)) : 99);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 5);
  }
#endif
}

}  // namespace
