#include "m2b/util/repetition.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

TEST_SUITE("repetition") {
  using namespace std::chrono_literals;
  using m2b::Repetition;

  TEST_CASE("the first of a kind is logged, then it is held back and summed up") {
    Repetition repetition(30s);
    const Repetition::Clock::time_point start{};
    CHECK(repetition.admit("timeout", start) == 0);
    CHECK_FALSE(repetition.admit("timeout", start + 1s));
    CHECK_FALSE(repetition.admit("timeout", start + 29s));
    CHECK(repetition.admit("timeout", start + 30s) == 2);
    CHECK_FALSE(repetition.admit("timeout", start + 31s));
  }

  TEST_CASE("several may be admitted before the rest is held back") {
    Repetition repetition(30s, 3);
    const Repetition::Clock::time_point start{};
    CHECK(repetition.admit("lost", start) == 0);
    CHECK(repetition.admit("lost", start + 1s) == 0);
    CHECK(repetition.admit("lost", start + 2s) == 0);
    CHECK_FALSE(repetition.admit("lost", start + 3s));
    CHECK_FALSE(repetition.admit("lost", start + 29s));
    CHECK(repetition.admit("lost", start + 30s) == 2);
    CHECK(repetition.admit("lost", start + 31s) == 0);
  }

  TEST_CASE("two kinds that alternate are both held back") {
    Repetition repetition(30s);
    const Repetition::Clock::time_point start{};
    CHECK(repetition.admit("timeout", start) == 0);
    CHECK(repetition.admit("refused", start) == 0);
    CHECK_FALSE(repetition.admit("timeout", start + 1s));
    CHECK_FALSE(repetition.admit("refused", start + 1s));
  }

  TEST_CASE("after a reset everything is news again") {
    Repetition repetition(30s);
    const Repetition::Clock::time_point start{};
    CHECK(repetition.admit("timeout", start) == 0);
    CHECK_FALSE(repetition.admit("timeout", start));
    repetition.reset();
    CHECK(repetition.admit("timeout", start) == 0);
  }

  TEST_CASE("many kinds are all admitted") {
    Repetition repetition(30s);
    for (int kind = 0; kind < 1000; ++kind) {
      CHECK(repetition.admit(std::to_string(kind)) == 0);
    }
  }
}

}  // namespace
