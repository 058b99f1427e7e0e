#include "m2b/upload/clock_offset.hpp"

#include <doctest/doctest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using m2b::ClockOffset;
using m2b::is_plausible_now;

TEST_SUITE("clock offset") {
  TEST_CASE("a time of this century may be now, others may not") {
    using std::chrono::sys_days;
    CHECK(is_plausible_now(sys_days{2026y / 11 / 30}));
    CHECK(is_plausible_now(sys_days{2099y / 12 / 31}));
    for (const auto year : {-32000y, 0y, 1970y, 2019y, 2100y, 9999y, 10000y, 32000y}) {
      CHECK_FALSE(is_plausible_now(sys_days{year / 6 / 1}));
    }
  }

  TEST_CASE("an offset is in use until another is adopted, and what was seen is another matter") {
    ClockOffset offset;
    CHECK(offset.get() == 0s);
    CHECK_FALSE(offset.seen());
    offset.adopt(2h);
    offset.saw(5s);
    CHECK(offset.get() == 2h);
    CHECK(offset.seen() == 5s);
    offset.adopt(0s);
    CHECK(offset.get() == 0s);
  }
}

}  // namespace
