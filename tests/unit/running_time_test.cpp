#include "spool/running_time.hpp"

#include <doctest/doctest.h>

namespace {

TEST_SUITE("running_time") {
  using namespace m2b;
  using namespace std::chrono_literals;

  TEST_CASE("it goes on from what was kept, wherever the steady clock begins") {
    for (const auto begin : {RunningTime::Clock::time_point(), RunningTime::Clock::now()}) {
      RunningTime::Clock::time_point now = begin;
      const RunningTime time(1h, [&] { return now; });
      CHECK(time.total() == 1h);
      now += 90min;
      CHECK(time.total() == 150min);
      CHECK(RunningTime(time.total(), [&] { return now; }).total() == 150min);
    }
  }
}

}  // namespace
