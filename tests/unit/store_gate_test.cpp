#include "pipeline/store_gate.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "support/eventually.hpp"

namespace {

TEST_SUITE("store_gate") {
  using namespace m2b;
  using namespace std::chrono_literals;

  constexpr BackoffPolicy kQuick{.base = 1ms, .cap = 5ms};
  constexpr BackoffPolicy kNever{.base = 1h, .cap = 10h};
  const PutResult kStored{PutOutcome::stored, 200, "", ""};
  const PutResult kAway{PutOutcome::retry_later, 503, "SlowDown", ""};
  const PutResult kHeld{PutOutcome::hold, 403, "AccessDenied", ""};

  TEST_CASE("everybody passes while the store is well") {
    StoreGate gate(kQuick);
    CHECK(gate.state() == StoreState::unknown);
    const auto first = gate.enter({});
    const auto second = gate.enter({});
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(first->probe);
    gate.report(*first, kStored);
    gate.report(*second, kStored);
    CHECK(gate.state() == StoreState::reachable);
    CHECK(gate.enter({})->stored == 2);
  }

  TEST_CASE("after a failure one probes at a time") {
    StoreGate gate(kQuick);
    gate.report(*gate.enter({}), kAway);
    CHECK(gate.state() == StoreState::away);
    const auto probe = gate.enter({});
    REQUIRE(probe);
    CHECK(probe->probe);
    auto other = std::async(std::launch::async, [&] { return gate.enter({}); });
    CHECK(other.wait_for(50ms) == std::future_status::timeout);
    gate.report(*probe, kStored);
    CHECK(other.get());
    CHECK(gate.state() == StoreState::reachable);
  }

  TEST_CASE("those who wait probe in turn: one bad object does not keep the others from it") {
    StoreGate gate(kQuick);
    gate.report(*gate.enter({}), kAway);
    std::atomic<int> failures{0};
    std::atomic<bool> good_one_passed{false};
    std::jthread bad([&](const std::stop_token& stop) {
      while (const auto pass = gate.enter(stop)) {
        ++failures;
        gate.report(*pass, kAway);
      }
    });
    CHECK(test::eventually([&] { return failures > 3; }));
    std::jthread good([&](const std::stop_token& stop) {
      if (const auto pass = gate.enter(stop)) {
        gate.report(*pass, kStored);
        good_one_passed = true;
      }
    });
    CHECK(test::eventually([&] { return good_one_passed.load(); }));
    bad.request_stop();
  }

  TEST_CASE("credentials that are refused hold everything") {
    StoreGate gate(kQuick);
    gate.report(*gate.enter({}), kHeld);
    CHECK(gate.state() == StoreState::held);
    gate.report(*gate.enter({}), kStored);
    CHECK(gate.state() == StoreState::reachable);
  }

  TEST_CASE("an object that is refused alone says that the store is well") {
    StoreGate gate(kQuick);
    gate.report(*gate.enter({}), {PutOutcome::rejected, 400, "KeyTooLongError", ""});
    CHECK(gate.state() == StoreState::reachable);
  }

  TEST_CASE("nobody passes when stopping, however open the gate is") {
    StoreGate gate(kQuick);
    std::stop_source stop;
    stop.request_stop();
    CHECK_FALSE(gate.enter(stop.get_token()));
    gate.report(*gate.enter({}), kAway);
    CHECK_FALSE(gate.enter(stop.get_token()));
    CHECK(gate.enter({}));
  }

  TEST_CASE("stopping ends the waiting, and a stopped probe leaves the place free") {
    StoreGate gate(kNever);
    gate.report(*gate.enter({}), kAway);
    std::stop_source stop;
    auto waiting =
        std::async(std::launch::async, [&] { return gate.enter(stop.get_token()).has_value(); });
    stop.request_stop();
    CHECK_FALSE(waiting.get());

    StoreGate quick(kQuick);
    quick.report(*quick.enter({}), kAway);
    quick.report(*quick.enter({}), {PutOutcome::stopped, 0, "", ""});
    CHECK(quick.enter({})->probe);
  }

  TEST_CASE("trouble is the last failure, since the first one in a row") {
    StoreGate gate(kQuick);
    CHECK_FALSE(gate.trouble());
    gate.report(*gate.enter({}), kAway);
    const auto first = gate.trouble();
    REQUIRE(first);
    CHECK(first->last_failure.code == "SlowDown");
    CHECK(first->since <= std::chrono::steady_clock::now());
    gate.report(*gate.enter({}), kHeld);
    const auto second = gate.trouble();
    REQUIRE(second);
    CHECK(second->last_failure.code == "AccessDenied");
    CHECK(second->since == first->since);
    gate.report(*gate.enter({}), kStored);
    CHECK_FALSE(gate.trouble());
  }
}

}  // namespace
