#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "status/history.hpp"
#include "status/snapshot.hpp"

namespace m2b {

/// How something is.
enum class Health {
  well,
  attention,  ///< nothing is lost or stands still, but somebody should look
  trouble     ///< pictures do not get through
};

/// `well`, `attention`, `trouble`
[[nodiscard]] std::string_view to_string(Health health) noexcept;

/// Something that a person should know, and do something about.
struct Warning {
  std::string id;  // stable, for programs: docs/status.md
  Health severity;
  std::string title;
  std::string cause;
  std::string remedy;
};

/// What changed lately, a second.
struct Trends {
  Rates now;     // over the last seconds, for showing
  Rates longer;  // over as long as the present state of things lasts, for foretelling
  std::uint64_t connections_lost = 0;        // in the last ten minutes
  std::uint64_t store_outages = 0;           // likewise: times that the store began to take nothing
  std::chrono::seconds stands_still_for{0};  // History::stands_still_for()
  std::chrono::seconds oldest_unchanged_for{0};  // History::oldest_unchanged_for()
};

/// What a snapshot means. `/readyz`, `/status`, the page, the metrics and the status line of
/// systemd all show this and nothing else (decision 0034).
struct Diagnosis {
  Health state = Health::well;
  bool starting = false;  // not connected yet, and too early to call that trouble
  std::string sentence;
  std::vector<Warning> warnings;  // the worst first

  // The stages of the pipeline.
  Health broker = Health::well;
  Health queue = Health::well;
  Health decode = Health::well;
  Health upload = Health::well;
  Health store = Health::well;

  // At the present rate; nothing where it will not come to that, or not within a year.
  std::optional<std::chrono::seconds> full_in;
  std::optional<std::chrono::seconds> empty_in;

  /// Pictures get through.
  [[nodiscard]] bool is_ready() const noexcept { return state != Health::trouble && !starting; }
  [[nodiscard]] bool warns_of(std::string_view id) const noexcept;
};

/// As long as things are as they are, but long enough to say something and short enough to matter.
[[nodiscard]] std::chrono::seconds span_of_trend(const StatusSnapshot& snapshot);

/// The sentence, and a line for each warning: `trouble: TITLE. CAUSE REMEDY`. Without control
/// characters.
[[nodiscard]] std::string plain_text(const Diagnosis& diagnosis);

/// Pure.
[[nodiscard]] Diagnosis diagnose(const StatusSnapshot& snapshot, const Trends& trends);

}  // namespace m2b
