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
            .progress = stored,
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

  TEST_CASE("how long the same message has been the oldest") {
    History history;
    const auto oldest = [](std::chrono::seconds at, WallTime received_at) {
      return Sample{.at = kStart + at, .oldest = received_at};
    };
    const WallTime first(1s);
    const WallTime second(2s);
    history.add(oldest(0s, first));
    history.add(oldest(10s, second));
    history.add(oldest(20s, second));
    CHECK(history.oldest_unchanged_for(oldest(30s, second)) == 20s);
    CHECK(history.oldest_unchanged_for(oldest(30s, first)) == 0s);
    history.add(oldest(30s, {}));
    CHECK(history.oldest_unchanged_for(oldest(40s, {})) == 0s);
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

  TEST_CASE("refused messages have a rate of their own") {
    Sample before = sample(0s, 100, 50);
    Sample after = sample(10s, 140, 60);
    before.refused = 10;
    after.refused = 30;
    CHECK(rates_between(before, after).backlog == 3);
    CHECK(rates_between(before, after).refused == 2);
  }

  TEST_CASE("what waits stands still from the last progress on, or from when it came") {
    History history;
    CHECK(history.stands_still_for(sample(5s, 10, 0)) == 0s);
    history.add(sample(0s, 10, 10));
    history.add(sample(10s, 12, 11));
    history.add(sample(20s, 12, 11));
    history.add(sample(30s, 15, 11));
    CHECK(history.stands_still_for(sample(39s, 15, 11)) == 29s);
    CHECK(history.stands_still_for(sample(39s, 15, 12)) == 0s);  // one was stored
    Sample now = sample(39s, 15, 11);
    ++now.progress;  // or left in another way
    CHECK(history.stands_still_for(now) == 0s);
    history.add(sample(40s, 15, 15));
    history.add(sample(50s, 16, 15));  // nothing waited for ten seconds
    CHECK(history.stands_still_for(sample(55s, 16, 15)) == 5s);
  }

  TEST_CASE("what is refused does not stand still") {
    History history;
    Sample with_refused = sample(0s, 10, 5);
    with_refused.refused = 5;
    history.add(with_refused);
    with_refused.at += 10s;
    CHECK(history.stands_still_for(with_refused) == 0s);
    with_refused.waiting = 6;
    history.add(with_refused);
    with_refused.at += 10s;
    CHECK(history.stands_still_for(with_refused) == 10s);
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
