#include "m2b/util/histogram.hpp"

#include <doctest/doctest.h>

#include <numeric>

namespace {

TEST_SUITE("histogram") {
  using namespace std::chrono_literals;

  TEST_CASE("durations fall into the bucket whose bound they do not exceed") {
    m2b::DurationHistogram histogram;
    histogram.observe(500us);
    histogram.observe(501us);
    histogram.observe(1h);
    const auto snapshot = histogram.snapshot();
    CHECK(snapshot.counts.front() == 1);
    CHECK(snapshot.counts[1] == 1);
    CHECK(snapshot.counts.back() == 1);
    CHECK(std::accumulate(snapshot.counts.begin(), snapshot.counts.end(), 0U) == 3);
    CHECK(snapshot.sum_seconds == doctest::Approx(3600.001001));
  }
}

}  // namespace
