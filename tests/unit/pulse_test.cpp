#include "m2b/util/pulse.hpp"

#include <doctest/doctest.h>

namespace {

TEST_SUITE("pulse") {
  using namespace std::chrono_literals;
  using m2b::Pulse;

  TEST_CASE("it is silent since its last beat") {
    Pulse pulse;
    pulse.beat();
    const auto now = Pulse::Clock::now();
    CHECK(pulse.silent_for(now) < 1s);
    CHECK(pulse.silent_for(now + 60s) >= 60s);
    pulse.beat();
    CHECK(pulse.silent_for() < 1s);
  }

  TEST_CASE("while it rests, and before its first beat, nothing is expected") {
    Pulse pulse;
    CHECK(pulse.silent_for(Pulse::Clock::now() + 60s) == 0s);
    pulse.beat();
    pulse.rest();
    CHECK(pulse.silent_for(Pulse::Clock::now() + 60s) == 0s);
  }
}

}  // namespace
