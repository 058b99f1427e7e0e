#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace m2b {

/// How a step of the connection check ended.
enum class StepOutcome : std::uint8_t {
  ok,
  warning,  ///< the bridge works, but something needs attention
  failed,   ///< the bridge does not work
  skipped   ///< not tried: not asked for, not permitted, or an earlier step failed
};

/// One step of the connection check.
struct CheckStep {
  std::string name;  // stable, such as `broker.login`: an interface for programs
  StepOutcome outcome = StepOutcome::ok;
  std::string seen;    // what was seen, in words
  std::string remedy;  // what to do; empty where there is nothing to do
};

/// `ok`, `warning`, `failed`, `skipped`
[[nodiscard]] std::string_view to_string(StepOutcome outcome) noexcept;

/// For a person: one line, and one more for a remedy. Control characters are made visible, since
/// peers choose part of the text.
[[nodiscard]] std::string step_text(const CheckStep& step);

/// For a program: one JSON object in one line, with name, outcome, seen and remedy.
[[nodiscard]] std::string step_json(const CheckStep& step);

/// The last line for a person: how many steps ended in which way.
[[nodiscard]] std::string summary_text(std::span<const CheckStep> steps);

/// Exit codes of the connection check.
inline constexpr int kCheckPassed = 0;         // every step is ok, or skipped without a failure
inline constexpr int kCheckFailed = 1;         // a step failed
inline constexpr int kCheckWarned = 2;         // no step failed, and there is a warning
inline constexpr int kCheckInterrupted = 130;  // SIGINT or SIGTERM came first

/// One of the first three.
[[nodiscard]] int exit_code_of(std::span<const CheckStep> steps) noexcept;

}  // namespace m2b
