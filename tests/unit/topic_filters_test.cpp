#include "mqtt/topic_filters.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using State = FilterStatus::State;

TEST_SUITE("topic_filters") {
  struct Fixture {
    const BackoffPolicy policy{.base = 200ms, .cap = 8s};
    TopicFilters filters{{"a", "b", "c"}, 1, policy};
    TopicFilters::Time now = TopicFilters::Time(1h);

    Fixture() { filters.begin(now); }

    /// Asks for what is next, and gives the name of it.
    std::string ask() {
      const auto filter = filters.next(now);
      if (!filter) {
        return "none";
      }
      filters.asked(*filter, now);
      return filters.status(*filter).filter;
    }
    std::string ask_and_answer(int code) {
      std::string filter = ask();
      filters.answered(code, now);
      return filter;
    }
    /// Until the next filter is due.
    std::chrono::milliseconds wait() {
      const auto pause = filters.next_due() - now;
      now = filters.next_due();
      return std::chrono::ceil<std::chrono::milliseconds>(pause);
    }
  };

  TEST_CASE_FIXTURE(Fixture, "one is asked for after the other, and none without an answer") {
    CHECK(ask() == "a");
    CHECK(ask() == "none");
    filters.answered(1, now);
    CHECK(ask_and_answer(2) == "b");
    CHECK_FALSE(filters.all_granted());
    CHECK_FALSE(filters.none_pending());
    CHECK(ask_and_answer(1) == "c");
    CHECK(filters.all_granted());
    CHECK(filters.none_pending());
    CHECK(ask() == "none");
    CHECK(filters.next_due() == TopicFilters::Time::max());
    CHECK(filters.granted() == std::vector<std::string>{"a", "b", "c"});
    CHECK(filters.status(1).code == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a refused one does not keep the others waiting") {
    CHECK(ask_and_answer(0x87) == "a");
    now += 1h;
    CHECK(ask_and_answer(1) == "b");
    CHECK(ask_and_answer(1) == "c");
    CHECK(filters.status(0).state == State::refused);
    CHECK(filters.status(0).code == 0x87);
    CHECK(filters.granted() == std::vector<std::string>{"b", "c"});
    CHECK(filters.any_failed());
    CHECK(ask_and_answer(1) == "a");
    CHECK_FALSE(filters.any_failed());
    CHECK(filters.all_granted());
  }

  TEST_CASE_FIXTURE(Fixture, "the pauses after refusals are bounded, and grow") {
    CHECK(ask_and_answer(0x80) == "a");
    CHECK(ask_and_answer(1) == "b");
    CHECK(ask_and_answer(1) == "c");
    const auto since = filters.status(0).since;
    std::chrono::milliseconds longest{0};
    for (int i = 0; i < 60; ++i) {
      const auto pause = wait();
      CHECK(pause <= policy.cap);
      longest = std::max(longest, pause);
      CHECK(ask_and_answer(0x80) == "a");
    }
    CHECK(longest > 1s);
    CHECK(filters.status(0).failures == 61);
    CHECK(filters.status(0).since == since);
  }

  TEST_CASE_FIXTURE(Fixture, "a packet identifier in use is no refusal, unless it always is") {
    for (int i = 0; i < 16; ++i) {
      CHECK(ask_and_answer(0x91) == "a");
      CHECK(filters.status(0).state == State::pending);
    }
    SUBCASE("then another one is free") {
      CHECK(ask_and_answer(1) == "a");
      CHECK_FALSE(filters.any_failed());
    }
    SUBCASE("always") {
      CHECK(ask_and_answer(0x91) == "a");
      CHECK(filters.status(0).state == State::refused);
      CHECK(filters.status(0).code == 0x91);
      CHECK(ask_and_answer(1) == "b");
      CHECK(ask_and_answer(1) == "c");
      wait();
      CHECK(ask_and_answer(0x91) == "a");
      CHECK(filters.status(0).failures == 2);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "codes that MQTT does not know refuse") {
    for (const int code : {3, 0x7F, 0x100, -1, -16, 0x1A2B3C4}) {
      TopicFilters one({"a"}, 1, policy);
      one.begin(now);
      one.asked(0, now);
      one.answered(code, now);
      CHECK(one.status(0).state == State::refused);
      CHECK(one.status(0).code == 0x81);
    }
  }

  TEST_CASE_FIXTURE(Fixture,
                    "one that ends the connection comes last, then with pauses of its own") {
    CHECK(ask() == "a");
    filters.unanswered(State::disconnected, 0, now);
    filters.begin(now);
    CHECK(ask_and_answer(1) == "b");
    CHECK(ask_and_answer(1) == "c");
    CHECK(ask() == "a");
    filters.unanswered(State::disconnected, 0x87, now);
    CHECK(filters.status(0).failures == 2);
    CHECK(filters.status(0).code == 0x87);
    const auto due = filters.next_due();
    CHECK(due <= now + 8s);
    filters.begin(now);
    CHECK(ask_and_answer(1) == "b");
    CHECK(ask_and_answer(1) == "c");
    CHECK(filters.next_due() == due);
    std::chrono::milliseconds longest{0};
    for (int i = 0; i < 60; ++i) {
      const auto pause = wait();
      CHECK(pause <= 64s);
      longest = std::max(longest, pause);
      CHECK(ask() == "a");
      filters.unanswered(State::disconnected, 0, now);
    }
    CHECK(longest > 8s);
    wait();
    CHECK(ask_and_answer(0) == "a");
    CHECK_FALSE(filters.any_failed());
    CHECK(filters.status(0).is_unguaranteed());
  }

  TEST_CASE_FIXTURE(Fixture, "a connection that ends for another reason is no failure") {
    CHECK(ask() == "a");
    filters.connection_ended();
    CHECK_FALSE(filters.any_failed());
    filters.begin(now);
    CHECK(ask() == "a");
    filters.answered(1, now);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "on each connection all are asked for again, or the granted ones later") {
    for (int i = 0; i < 3; ++i) {
      CHECK(ask_and_answer(i == 1 ? 0x87 : 1) != "none");
    }
    const auto asked_at = now;
    now += 1min;
    SUBCASE("again") {
      filters.begin(now);
      CHECK(filters.status(0).state == State::pending);
      CHECK(ask_and_answer(1) == "a");
      CHECK(ask_and_answer(1) == "b");
      CHECK(ask_and_answer(1) == "c");
      CHECK(filters.all_granted());
    }
    SUBCASE("later") {
      filters.begin(now, 10min);
      CHECK(filters.status(0).state == State::granted);
      CHECK(ask_and_answer(1) == "b");
      CHECK(filters.all_granted());
      CHECK(ask() == "none");
      CHECK(filters.next_due() == asked_at + 10min);
      wait();
      CHECK(ask_and_answer(0x87) == "a");
      CHECK_FALSE(filters.all_granted());
      CHECK(ask_and_answer(1) == "c");
    }
  }

  TEST_CASE_FIXTURE(Fixture, "QoS 0 is without a guarantee where more was asked for") {
    CHECK(ask_and_answer(0) == "a");
    CHECK(filters.status(0).is_unguaranteed());
    CHECK(ask_and_answer(1) == "b");
    CHECK_FALSE(filters.status(1).is_unguaranteed());
    TopicFilters asked_for({"a"}, 0, policy);
    asked_for.begin(now);
    asked_for.asked(0, now);
    asked_for.answered(0, now);
    CHECK_FALSE(asked_for.status(0).is_unguaranteed());
  }
}

}  // namespace
