#include "m2b/check/check_step.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace m2b;

TEST_SUITE("check_step") {
  CheckStep step_with(StepOutcome outcome) {
    return {.name = "broker.tcp", .outcome = outcome, .seen = "x", .remedy = {}};
  }

  int code_of(const std::vector<StepOutcome>& outcomes) {
    std::vector<CheckStep> steps;
    for (const StepOutcome outcome : outcomes) {
      steps.push_back(step_with(outcome));
    }
    return exit_code_of(steps);
  }

  TEST_CASE("the exit code is that of the worst step") {
    using enum StepOutcome;
    CHECK(code_of({}) == 0);
    CHECK(code_of({ok, skipped}) == 0);
    CHECK(code_of({ok, warning, skipped}) == 2);
    CHECK(code_of({warning, failed, ok}) == 1);
  }

  TEST_CASE("a step is a line, and its remedy another") {
    CHECK(step_text({"broker.tcp", StepOutcome::ok, "connected", {}}) ==
          "ok       broker.tcp        connected\n");
    CHECK(step_text({"store.key", StepOutcome::failed, "unknown", "Set another."}) ==
          "failed   store.key         unknown\n"
          "           remedy:         Set another.\n");
  }

  TEST_CASE("what a peer says cannot command a terminal") {
    CHECK(step_text({"store.answer", StepOutcome::failed, "a\x1b[2Jb\nc", {}}) ==
          "failed   store.answer      a\\x1b[2Jb\\x0ac\n");
  }

  TEST_CASE("as JSON it is one object in one line") {
    CHECK(step_json({"store.key", StepOutcome::failed, "say \"no\"\n", "Set another."}) ==
          R"({"name":"store.key","outcome":"failed","seen":"say \"no\"\n","remedy":"Set another."})"
          "\n");
    CHECK(step_json({"a", StepOutcome::skipped, "\xff\u009b", {}}) ==
          R"({"name":"a","outcome":"skipped","seen":"\ufffd\u009b","remedy":""})"
          "\n");
  }

  TEST_CASE("the summary counts the steps") {
    const std::vector<CheckStep> steps{
        step_with(StepOutcome::ok), step_with(StepOutcome::ok), step_with(StepOutcome::warning),
        step_with(StepOutcome::failed), step_with(StepOutcome::skipped)};
    CHECK(summary_text(steps) == "the check failed: 2 ok, 1 failed, 1 with a warning, 1 skipped\n");
    CHECK(summary_text(std::span(steps).first(3)) ==
          "the check passed with warnings: 2 ok, 0 failed, 1 with a warning, 0 skipped\n");
    CHECK(summary_text(std::span(steps).first(1)) ==
          "the check passed: 1 ok, 0 failed, 0 with a warning, 0 skipped\n");
  }
}

}  // namespace
