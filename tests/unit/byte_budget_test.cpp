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
