#include "status/words.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("words") {
  TEST_CASE("counts have commas, and know one from many") {
    CHECK(words::count(0) == "0");
    CHECK(words::count(999) == "999");
    CHECK(words::count(4211) == "4,211");
    CHECK(words::count(1234567) == "1,234,567");
    CHECK(words::count(1, "picture", "pictures") == "1 picture");
    CHECK(words::count(0, "picture", "pictures") == "0 pictures");
  }

  TEST_CASE("bytes have two digits and a unit") {
    CHECK(words::bytes(0) == "0 B");
    CHECK(words::bytes(999) == "999 B");
    CHECK(words::bytes(1000) == "1.0 kB");
    CHECK(words::bytes(12'345) == "12 kB");
    CHECK(words::bytes(999'700) == "1.0 MB");
    CHECK(words::bytes(1.9e9) == "1.9 GB");
    CHECK(words::bytes(5e12) == "5.0 TB");
  }

  TEST_CASE("ranges of bytes name their unit once where it is one") {
    CHECK(words::byte_range(4'194'304, 8'388'608) == "4.2 to 8.4 MB");
    CHECK(words::byte_range(524'288, 1'048'576) == "524 kB to 1.0 MB");
    CHECK(words::byte_range(0, 999) == "0 to 999 B");
  }

  TEST_CASE("durations have their two largest units") {
    CHECK(words::duration(-5s) == "0 s");
    CHECK(words::duration(59s) == "59 s");
    CHECK(words::duration(60s) == "1 min");
    CHECK(words::duration(95s) == "1 min 35 s");
    CHECK(words::duration(12min + 30s) == "12 min");
    CHECK(words::duration(3h + 10min) == "3 h 10 min");
    CHECK(words::duration(24h) == "1 d");
    CHECK(words::duration(52h) == "2 d 4 h");
  }

  TEST_CASE("rates lose their digits as they grow") {
    CHECK(words::per_second(0.001) == "0");
    CHECK(words::per_second(0.25) == "0.25");
    CHECK(words::per_second(4.21) == "4.2");
    CHECK(words::per_second(180.4) == "180");
  }

  TEST_CASE("times are in UTC") {
    CHECK(words::time(std::chrono::sys_time<std::chrono::milliseconds>(1'700'000'000'123ms)) ==
          "2023-11-14 22:13:20 UTC");
  }
}

}  // namespace
