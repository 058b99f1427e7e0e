#include "m2b/util/backoff.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace {

TEST_SUITE("backoff") {
  using namespace std::chrono_literals;
  using m2b::Backoff;
  using m2b::BackoffPolicy;

  constexpr BackoffPolicy kPolicy{.base = 100ms, .cap = 1000ms};

  TEST_CASE("the ceiling doubles up to the cap, without end") {
    CHECK(Backoff::ceiling(kPolicy, 0) == 100ms);
    CHECK(Backoff::ceiling(kPolicy, 1) == 200ms);
    CHECK(Backoff::ceiling(kPolicy, 3) == 800ms);
    CHECK(Backoff::ceiling(kPolicy, 4) == 1000ms);
    CHECK(Backoff::ceiling(kPolicy, 4'000'000'000U) == 1000ms);
  }

  TEST_CASE("pauses are spread between nothing and the ceiling") {
    Backoff backoff(kPolicy, 42);
    std::set<std::chrono::milliseconds> pauses;
    for (int i = 0; i < 1000; ++i) {
      const auto pause = backoff.next();
      CHECK(pause >= 0ms);
      CHECK(pause <= 1000ms);
      pauses.insert(pause);
    }
    CHECK(*pauses.begin() < 100ms);
    CHECK(*pauses.rbegin() > 900ms);
  }

  TEST_CASE("a reset begins again at the base") {
    Backoff backoff(kPolicy, 42);
    for (int i = 0; i < 10; ++i) {
      static_cast<void>(backoff.next());
    }
    CHECK(backoff.attempts() == 10);
    backoff.reset();
    CHECK(backoff.attempts() == 0);
    CHECK(backoff.next() <= 100ms);
  }
}

}  // namespace
