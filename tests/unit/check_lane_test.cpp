#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check/lane.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using check::Lane;

TEST_SUITE("check_lane") {
  struct Fixture {
    Lane lane{{"a.name", "b", "c"}, [] {}};

    /// `name: outcome`, in order.
    std::vector<std::string> outcomes() {
      std::vector<std::string> texts;
      for (const CheckStep& step : lane.take()) {
        texts.push_back(step.name + ": " + std::string(to_string(step.outcome)));
      }
      return texts;
    }
    using Texts = std::vector<std::string>;
  };

  TEST_CASE_FIXTURE(Fixture, "what follows a failure is skipped") {
    CHECK(lane.run("a.name", 1s, [] { return check::ok("x"); }));
    CHECK(outcomes() == Texts{"a.name: ok"});
    CHECK_FALSE(lane.run("b", 1s, [] { return check::failed("x", "y"); }));
    CHECK_FALSE(lane.is_over());
    lane.finish();
    CHECK(lane.is_over());
    CHECK(lane.has_returned());
    CHECK(outcomes() == Texts{"b: failed", "c: skipped"});
  }

  TEST_CASE_FIXTURE(Fixture, "warnings and skipped steps do not end the lane") {
    CHECK(lane.run("a.name", 1s, [] { return check::warning("x", "y"); }));
    CHECK(lane.run("b", 1s, [] { return check::skipped("x"); }));
  }

  TEST_CASE_FIXTURE(Fixture, "an exception fails the step with its text") {
    CHECK_FALSE(lane.run("a.name", 1s, []() -> check::Finding { throw std::runtime_error("no"); }));
    const std::vector<CheckStep> steps = lane.take();
    REQUIRE(steps.size() == 1);
    CHECK(steps[0].outcome == StepOutcome::failed);
    CHECK(steps[0].seen == "no");
  }

  TEST_CASE_FIXTURE(Fixture, "a call that hangs fails its step, and what it returns is dropped") {
    std::promise<void> returns;
    std::promise<void> begun;
    std::promise<bool> went_on;
    std::jthread worker([&] {
      went_on.set_value(lane.run("a.name", 10s, [&] {
        begun.set_value();
        returns.get_future().wait();
        return check::ok("late");
      }));
      lane.finish();
    });
    begun.get_future().wait();
    const auto deadline = lane.deadline();
    REQUIRE(deadline);
    const auto never = Lane::Clock::time_point::max();
    lane.expire(*deadline - 1ms, never);
    CHECK_FALSE(lane.is_over());
    lane.expire(*deadline, never);
    CHECK(lane.is_over());
    CHECK_FALSE(lane.has_returned());
    const std::vector<CheckStep> steps = lane.take();
    REQUIRE(steps.size() == 3);
    CHECK(steps[0].outcome == StepOutcome::failed);
    CHECK(steps[0].seen == "no result within 10 s");
    CHECK(steps[0].remedy.starts_with("The name server does not answer"));
    CHECK(steps[1].outcome == StepOutcome::skipped);
    returns.set_value();
    CHECK_FALSE(went_on.get_future().get());
    worker.join();
    CHECK(lane.has_returned());
    CHECK(lane.take().empty());
  }

  TEST_CASE_FIXTURE(Fixture, "the end of all time ends it whatever it does") {
    const auto now = Lane::Clock::now();
    lane.expire(now, now + 1s);
    CHECK_FALSE(lane.is_over());
    lane.expire(now, now);
    CHECK(outcomes() == Texts{"a.name: skipped", "b: skipped", "c: skipped"});
    CHECK_FALSE(lane.run("a.name", 1s, [] { return check::ok("x"); }));
  }

  TEST_CASE_FIXTURE(Fixture, "an interrupt skips the step that runs") {
    lane.run("a.name", 1s, [this] {
      lane.interrupt();
      return check::ok("late");
    });
    CHECK(outcomes() == Texts{"a.name: skipped", "b: skipped", "c: skipped"});
  }
}

}  // namespace
