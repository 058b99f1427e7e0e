#include "status/history.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("history") {
  const std::chrono::steady_clock::time_point kStart{};

  Sample sample(std::chrono::seconds at, std::uint64_t received, std::uint64_t stored) {
    return {.at = kStart + at,
            .received = received,
            .stored = stored,
            .stored_bytes = stored * 1000,
            .waiting = received - stored,
            .used_bytes = (received - stored) * 4096};
  }

  TEST_CASE("rates are differences by time") {
    const Rates rates = rates_between(sample(10s, 100, 90), sample(20s, 140, 100));
    CHECK(rates.over == 10s);
    CHECK(rates.in == 4);
    CHECK(rates.out == 1);
    CHECK(rates.out_bytes == 1000);
    CHECK(rates.backlog == 3);
    CHECK(rates.used_bytes == 3 * 4096);
    CHECK(rates_between(sample(0s, 100, 0), sample(10s, 100, 50)).backlog == -5);
  }

  TEST_CASE("no time and accounts that were set back give no rate") {
    CHECK(rates_between(sample(10s, 0, 0), sample(10s, 100, 0)).in == 0);
    CHECK(rates_between(sample(10s, 100, 0), sample(20s, 50, 0)).in == 0);
  }

  TEST_CASE("the sample to compare with is the latest that is old enough, or the first") {
    History history;
    CHECK(history.rates(sample(5s, 10, 0), 10s).over == 0s);
    history.add(sample(0s, 0, 0));
    CHECK(history.rates(sample(5s, 10, 0), 10s).in == 2);
    history.add(sample(10s, 100, 0));
    history.add(sample(20s, 300, 0));
    CHECK(history.rates(sample(25s, 400, 0), 10s).over == 15s);
    CHECK(history.rates(sample(30s, 400, 0), 10s).over == 10s);
    CHECK(history.rates(sample(30s, 300, 0), 300s).in == 10);
  }

  TEST_CASE("lost connections are counted within a time") {
    History history;
    for (int i = 0; i <= 6; ++i) {
      Sample at = sample(std::chrono::seconds(i * 10), 0, 0);
      at.connections_lost = static_cast<std::uint64_t>(i);
      history.add(at);
    }
    Sample now = sample(65s, 0, 0);
    now.connections_lost = 7;
    CHECK(history.connections_lost(now, 30s) == 4);
    CHECK(history.connections_lost(now, 600s) == 7);
  }

  TEST_CASE("an hour is kept, and no more") {
    History history;
    for (int i = 0; i < 1000; ++i) {
      history.add(sample(History::kStep * i, static_cast<std::uint64_t>(i) * 20, 0));
    }
    const History::Curves curves = history.curves();
    CHECK(curves.in.size() == History::kMaxSamples - 1);
    CHECK(curves.out.size() == curves.backlog.size());
    CHECK(curves.in.front() == 2);
    CHECK(curves.backlog.back() == 999 * 20);
    CHECK(History::kStep * static_cast<int>(curves.in.size()) == 1h);
  }
}

}  // namespace
