#include "mqtt/reconnect_pause.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("reconnect_pause") {
  struct Fixture {
    ReconnectPause pause{{.base = 1ms, .cap = 20ms}};
    ReconnectPause::Clock::time_point now{1h};

    /// Failed attempts in a row after one more of them.
    std::uint32_t end() {
      static_cast<void>(pause.next(now));
      return pause.attempts();
    }
  };

  TEST_CASE_FIXTURE(Fixture, "attempts that take long to fail let the pauses grow") {
    CHECK(end() == 1);
    now += 1min;
    CHECK(end() == 2);
    now += 1min;
    CHECK(end() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "a connection that held ends the growth") {
    CHECK(end() == 1);
    CHECK(end() == 2);
    pause.accepted(now);
    now += ReconnectPause::kStableConnection;
    CHECK(end() == 1);
    CHECK(end() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "what counts is the time since the broker accepted us") {
    CHECK(end() == 1);
    now += 1min;
    pause.accepted(now);
    now += ReconnectPause::kStableConnection - 1ms;
    CHECK(end() == 2);
    now += 1min;
    CHECK(end() == 3);
  }
}

}  // namespace
