#include "pipeline/byte_budget.hpp"

#include <doctest/doctest.h>

#include <future>

namespace {

TEST_SUITE("byte_budget") {
  using m2b::ByteBudget;

  TEST_CASE("more than is free waits for a release") {
    ByteBudget budget(100);
    const std::stop_token never;
    CHECK(budget.acquire(60, never));
    auto second = std::async(std::launch::async, [&] { return budget.acquire(50, never); });
    CHECK(second.wait_for(std::chrono::milliseconds(30)) == std::future_status::timeout);
    budget.release(60);
    CHECK(second.get());
  }

  TEST_CASE("a share above the whole budget passes alone") {
    ByteBudget budget(100);
    const std::stop_token never;
    CHECK(budget.acquire(1000, never));
    auto second = std::async(std::launch::async, [&] { return budget.acquire(1, never); });
    CHECK(second.wait_for(std::chrono::milliseconds(30)) == std::future_status::timeout);
    budget.release(1000);
    CHECK(second.get());
  }

  TEST_CASE("stopping ends the waiting") {
    ByteBudget budget(100);
    std::stop_source stop;
    CHECK(budget.acquire(100, stop.get_token()));
    auto second =
        std::async(std::launch::async, [&] { return budget.acquire(1, stop.get_token()); });
    stop.request_stop();
    CHECK_FALSE(second.get());
  }
}

}  // namespace
