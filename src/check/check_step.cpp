#include "m2b/check/check_step.hpp"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

std::ptrdiff_t count_of(std::span<const CheckStep> steps, StepOutcome outcome) {
  return std::ranges::count(steps, outcome, &CheckStep::outcome);
}

}  // namespace

std::string_view to_string(StepOutcome outcome) noexcept {
  switch (outcome) {
    case StepOutcome::ok:
      return "ok";
    case StepOutcome::warning:
      return "warning";
    case StepOutcome::failed:
      return "failed";
    case StepOutcome::skipped:
      return "skipped";
  }
  assert(false);
  return "unknown";
}

std::string step_text(const CheckStep& step) {
  std::string text =
      fmt::format("{:<8} {:<17} {}\n", to_string(step.outcome), step.name, visible(step.seen));
  if (!step.remedy.empty()) {
    text += fmt::format("{:<8} {:<17} {}\n", "", "  remedy:", visible(step.remedy));
  }
  return text;
}

std::string step_json(const CheckStep& step) {
  const nlohmann::ordered_json document = {{"name", step.name},
                                           {"outcome", to_string(step.outcome)},
                                           {"seen", step.seen},
                                           {"remedy", step.remedy}};
  constexpr bool kAsciiOnly = true;
  return document.dump(-1, ' ', kAsciiOnly, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string summary_text(std::span<const CheckStep> steps) {
  const auto failed = count_of(steps, StepOutcome::failed);
  const auto warnings = count_of(steps, StepOutcome::warning);
  return fmt::format("{}: {} ok, {} failed, {} with a warning, {} skipped\n",
                     failed > 0     ? "the check failed"
                     : warnings > 0 ? "the check passed with warnings"
                                    : "the check passed",
                     count_of(steps, StepOutcome::ok), failed, warnings,
                     count_of(steps, StepOutcome::skipped));
}

int exit_code_of(std::span<const CheckStep> steps) noexcept {
  const auto has = [&](StepOutcome outcome) {
    return std::ranges::find(steps, outcome, &CheckStep::outcome) != steps.end();
  };
  return has(StepOutcome::failed)    ? kCheckFailed
         : has(StepOutcome::warning) ? kCheckWarned
                                     : kCheckPassed;
}

}  // namespace m2b
