#include "m2b/util/process.hpp"

#include <doctest/doctest.h>

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
