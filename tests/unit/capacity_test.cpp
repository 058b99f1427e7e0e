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

  TEST_CASE("what is left is up to the cap, or to what the disk has above the floor") {
    CHECK(room_of(kLimits, kRoomy).used == 10 * kMiB);
    CHECK(room_of(kLimits, kRoomy).left == 90 * kMiB);
    CHECK(room_of(kLimits, kRoomy).bound == Intake::at_cap);
    CapacityUsage usage = kRoomy;
    usage.disk_free_bytes = 60 * kMiB;
    // 10 MiB above the floor, and one of the two free ones in the file, as deletions need the
    // other.
    CHECK(room_of(kLimits, usage).left == 11 * kMiB);
    CHECK(room_of(kLimits, usage).bound == Intake::at_floor);
    usage.disk_free_bytes = 0;
    usage.live_bytes = 12 * kMiB;
    CHECK(room_of(kLimits, usage).left == 0);
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

  TEST_CASE("what was freed just now cannot be used yet, but waits no more") {
    CapacityUsage usage{.live_bytes = kMiB,
                        .pending_bytes = 30 * kMiB,
                        .file_bytes = 80 * kMiB,
                        .disk_free_bytes = 0,
                        .empty = false};
    CHECK(admit(kLimits, usage, 48 * kMiB) == Intake::open);
    CHECK(admit(kLimits, usage, 49 * kMiB) == Intake::at_floor);
    usage.disk_free_bytes = 1000 * kMiB;
    CHECK(admit(kLimits, usage, 99 * kMiB) == Intake::open);
  }

  TEST_CASE("free pages that did not keep the file from growing do not count any more") {
    CapacityUsage usage{
        .live_bytes = 60 * kMiB, .file_bytes = 80 * kMiB, .disk_free_bytes = 0, .empty = false};
    Gaps gaps;
    CHECK(gaps.bytes(usage, kMiB) == 0);

    SUBCASE("a file that grows because it is full has none") {
      usage.file_bytes = 60 * kMiB;
      gaps.expect(usage, kMiB, kMiB);
      usage.file_bytes += kMiB;
      gaps.learn(usage);
      CHECK(gaps.bytes(usage, kMiB) == 0);
    }
    SUBCASE("and one that takes its free pages neither") {
      gaps.expect(usage, kMiB, kMiB);
      usage.live_bytes += kMiB;
      usage.file_bytes += kMiB / 4;  // of the trees
      gaps.learn(usage);
      CHECK(gaps.bytes(usage, kMiB) == 0);
    }
    SUBCASE("for messages as large as that, until the spool is empty") {
      gaps.expect(usage, 3 * kMiB, 2 * kMiB);
      usage.live_bytes += 3 * kMiB;
      usage.file_bytes += 3 * kMiB;
      gaps.learn(usage);
      CHECK(gaps.bytes(usage, 2 * kMiB) == 20 * kMiB);
      CHECK(gaps.bytes(usage, 2 * kMiB - 1) == 0);
      usage.gap_bytes = gaps.bytes(usage, 2 * kMiB);
      CHECK(admit(kLimits, usage, 2 * kMiB) == Intake::at_floor);

      usage.live_bytes -= 10 * kMiB;  // what is freed now lies together
      CHECK(admit(kLimits, usage, 9 * kMiB) == Intake::open);
      CHECK(admit(kLimits, usage, 10 * kMiB) == Intake::at_floor);
      usage.live_bytes += 20 * kMiB;  // some of them were used after all
      CHECK(gaps.bytes(usage, 2 * kMiB) == 10 * kMiB);
      gaps.learn(usage);  // nothing was expected
      CHECK(gaps.bytes(usage, 2 * kMiB) == 10 * kMiB);

      usage.empty = true;
      gaps.learn(usage);
      CHECK(gaps.bytes(usage, 2 * kMiB) == 0);
    }
  }

  TEST_CASE("the room is what the nearer limit leaves") {
    const CapacityUsage usage{.live_bytes = 30 * kMiB,
                              .pending_bytes = 5 * kMiB,
                              .file_bytes = 80 * kMiB,
                              .disk_free_bytes = 200 * kMiB,
                              .empty = false};
    const SpoolRoom by_disk = room_of({.max_bytes = 0, .min_free_bytes = 100 * kMiB}, usage);
    CHECK(by_disk.used == 30 * kMiB);
    CHECK(by_disk.left == 144 * kMiB);  // 44 in the file, 100 on the disk
    CHECK(by_disk.bound == Intake::at_floor);
    const SpoolRoom by_cap = room_of({.max_bytes = 40 * kMiB, .min_free_bytes = 100 * kMiB}, usage);
    CHECK(by_cap.left == 10 * kMiB);
    CHECK(by_cap.bound == Intake::at_cap);
    CHECK(room_of({.max_bytes = 20 * kMiB, .min_free_bytes = 0}, usage).left == 0);
    CHECK(room_of({.max_bytes = 400 * kMiB, .min_free_bytes = 300 * kMiB}, usage).bound ==
          Intake::at_floor);
  }

  TEST_CASE("the usual floor is 256 MiB, less on a small file system") {
    CHECK(default_min_free_bytes(std::uint64_t{1} << 40) == 256 * kMiB);
    CHECK(default_min_free_bytes(1000 * kMiB) == 50 * kMiB);
  }
}

}  // namespace
