#include "m2b/upload/batch_support.hpp"

#include <doctest/doctest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using m2b::BatchSupport;

TEST_SUITE("batch support") {
  void fail(BatchSupport & batches, int times) {
    for (int i = 0; i < times; ++i) batches.failed("cause", "detail");
  }

  TEST_CASE("batches are tried with MinIO alone, and as long as it answers") {
    BatchSupport batches;
    CHECK_FALSE(batches.worth_trying());
    batches.saw_server(true);
    CHECK(batches.worth_trying());
    batches.saw_server(false);
    CHECK_FALSE(batches.worth_trying());
  }

  TEST_CASE("off is for good") {
    BatchSupport batches;
    batches.saw_server(true);
    batches.turn_off("cause", "detail");
    batches.confirmed();
    batches.saw_server(true);
    CHECK_FALSE(batches.worth_trying());
  }

  TEST_CASE("many failures in a row make a pause") {
    BatchSupport batches;
    batches.saw_server(true);
    fail(batches, BatchSupport::kFailuresBeforePause - 1);
    CHECK(batches.worth_trying());
    batches.confirmed();
    fail(batches, BatchSupport::kFailuresBeforePause - 1);
    CHECK(batches.worth_trying());
    fail(batches, 1);
    CHECK_FALSE(batches.worth_trying());
  }

  TEST_CASE("behind a pause the count begins anew") {
    BatchSupport batches(0ms);
    batches.saw_server(true);
    fail(batches, BatchSupport::kFailuresBeforePause);
    CHECK(batches.worth_trying());
  }
}

}  // namespace
