#include "pipeline/byte_budget.hpp"

#include <doctest/doctest.h>

namespace {

using m2b::ByteBudget;

TEST_SUITE("byte_budget") {
  TEST_CASE("more than is free is refused until a release, which says that somebody waits") {
    ByteBudget budget(100);
    CHECK(budget.try_acquire(60));
    CHECK_FALSE(budget.try_acquire(50));
    CHECK(budget.release(60));
    CHECK(budget.try_acquire(50));
    CHECK_FALSE(budget.release(50));
  }

  TEST_CASE("who got nothing is told when an eighth is free, and once") {
    ByteBudget budget(800);
    for (int share = 0; share < 80; ++share) {
      CHECK(budget.try_acquire(10));
    }
    CHECK_FALSE(budget.is_used_up());
    CHECK_FALSE(budget.try_acquire(1));
    CHECK(budget.is_used_up());
    for (int share = 0; share < 9; ++share) {
      CHECK_FALSE(budget.release(10));
    }
    CHECK(budget.is_used_up());
    CHECK(budget.release(10));
    CHECK_FALSE(budget.is_used_up());
    CHECK_FALSE(budget.release(10));
  }

  TEST_CASE("a share above the whole budget passes alone") {
    ByteBudget budget(100);
    CHECK(budget.try_acquire(1000));
    CHECK_FALSE(budget.try_acquire(1));
    CHECK(budget.release(1000));
    CHECK(budget.try_acquire(100));
    CHECK_FALSE(budget.try_acquire(1000));
  }
}

}  // namespace
