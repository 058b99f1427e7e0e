#include "pipeline/batch_size.hpp"

#include <doctest/doctest.h>

#include <chrono>

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("batch_size") {
  struct Fixture {
    BatchSize size;
    BatchSize::Time now{std::chrono::hours(1)};
  };

  TEST_CASE_FIXTURE(Fixture, "batches grow while they succeed") {
    CHECK(size.most(now) == 16);
    size.succeeded();
    CHECK(size.most(now) == 32);
    for (int i = 0; i < 10; ++i) {
      size.succeeded();
    }
    CHECK(size.most(now) == 200);
  }

  TEST_CASE_FIXTURE(Fixture, "one failure makes them smaller, more of them a pause") {
    for (int i = 0; i < 10; ++i) {
      size.succeeded();
    }
    size.failed(now);
    CHECK(size.most(now) == 50);
    size.failed(now);
    CHECK(size.most(now) == 12);
    size.failed(now);
    CHECK(size.most(now) < BatchSize::kLeast);
    CHECK(size.most(now + 59s) < BatchSize::kLeast);
    CHECK(size.most(now + 60s) == 16);
  }

  TEST_CASE_FIXTURE(Fixture, "after a pause the first failure makes another one") {
    size.failed(now);
    CHECK(size.most(now + 60s) == 16);
    size.failed(now + 60s);
    CHECK(size.most(now + 119s) == 0);
  }
}

}  // namespace
