#include "spool/capacity.hpp"

#include <doctest/doctest.h>

namespace {

TEST_SUITE("capacity") {
  using namespace m2b;

  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  const CapacityLimits kLimits{.max_bytes = 100 * kMiB, .min_free_bytes = 50 * kMiB};
  const CapacityUsage kRoomy{.live_bytes = 10 * kMiB,
                             .file_bytes = 12 * kMiB,
                             .disk_free_bytes = 1000 * kMiB,
                             .empty = false};

  TEST_CASE("a message that fits is taken") { CHECK(admit(kLimits, kRoomy, kMiB) == Intake::open); }

  TEST_CASE("the cap counts what waits, to the byte") {
    CHECK(admit(kLimits, kRoomy, 90 * kMiB) == Intake::open);
    CHECK(admit(kLimits, kRoomy, 90 * kMiB + 1) == Intake::at_cap);
  }

  TEST_CASE("no cap is no cap") {
    CHECK(admit({.max_bytes = 0, .min_free_bytes = 0}, kRoomy, 900 * kMiB) == Intake::open);
  }

  TEST_CASE("a message above the cap passes an empty spool, or it could never pass") {
    CapacityUsage usage = kRoomy;
    usage.empty = true;
    CHECK(admit(kLimits, usage, 200 * kMiB) == Intake::open);
  }

  TEST_CASE("the floor counts only what the file has to grow by") {
    CapacityUsage usage = kRoomy;
    usage.disk_free_bytes = 50 * kMiB;
    CHECK(admit(kLimits, usage, kMiB) == Intake::open);  // one free MiB stands in the file
    CHECK(admit(kLimits, usage, kMiB + 1) == Intake::at_floor);
    usage.disk_free_bytes = 53 * kMiB;
    CHECK(admit(kLimits, usage, 4 * kMiB) == Intake::open);
  }

  TEST_CASE(
      "a message larger than what the floor leaves passes an empty spool, or it never could") {
    CapacityUsage usage = kRoomy;
    usage.disk_free_bytes = 60 * kMiB;
    CHECK(admit({.max_bytes = 0, .min_free_bytes = 50 * kMiB}, usage, 30 * kMiB) ==
          Intake::at_floor);
    usage.empty = true;
    CHECK(admit({.max_bytes = 0, .min_free_bytes = 50 * kMiB}, usage, 30 * kMiB) == Intake::open);
    CHECK(admit({.max_bytes = 0, .min_free_bytes = 50 * kMiB}, usage, 70 * kMiB) ==
          Intake::at_floor);
    usage.disk_free_bytes = 50 * kMiB;  // the floor is reached already, and not by us
    CHECK(admit({.max_bytes = 0, .min_free_bytes = 50 * kMiB}, usage, 30 * kMiB) ==
          Intake::at_floor);
  }

  TEST_CASE("a file with free pages takes messages below the floor: it never shrinks") {
    const CapacityUsage usage{
        .live_bytes = kMiB, .file_bytes = 80 * kMiB, .disk_free_bytes = 0, .empty = false};
    CHECK(admit(kLimits, usage, 70 * kMiB) == Intake::open);
    CHECK(admit(kLimits, usage, 79 * kMiB) == Intake::at_floor);  // room to delete is kept
  }

  TEST_CASE("the usual floor is 256 MiB, less on a small file system") {
    CHECK(default_min_free_bytes(std::uint64_t{1} << 40) == 256 * kMiB);
    CHECK(default_min_free_bytes(1000 * kMiB) == 50 * kMiB);
  }
}

}  // namespace
