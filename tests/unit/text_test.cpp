#include "tools/text.hpp"

#include <doctest/doctest.h>

#include <chrono>

TEST_SUITE("text") {
  using namespace m2b;
  using namespace std::chrono_literals;

  TEST_CASE("sizes have the unit that keeps them short") {
    CHECK(text::size(0) == "0 B");
    CHECK(text::size(1023) == "1023 B");
    CHECK(text::size(1024) == "1.0 KiB");
    CHECK(text::size(1'300'000) == "1.2 MiB");
    CHECK(text::size(std::uint64_t{5} << 40) == "5.0 TiB");
    CHECK(text::size(std::uint64_t{5} << 50) == "5120.0 TiB");
  }

  TEST_CASE("times are UTC, and a damaged one does no harm") {
    CHECK(text::time(WallTime(1'764'069'613'000ms)) == "2025-11-25T11:20:13Z");
    CHECK(text::time(WallTime{}).empty());
    CHECK(text::time(WallTime(std::chrono::milliseconds::max())) == "?");
    CHECK(text::time(WallTime(-5s)) == "?");
  }
}
