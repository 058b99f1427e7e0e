#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "m2b/control/spool_state.hpp"
#include "m2b/spool/record_info.hpp"
#include "m2b/spool/spool.hpp"

/// What is told of a spool as JSON: on the control socket and by the tools' --json alike.
namespace m2b::documents {

using Json = nlohmann::json;

[[nodiscard]] Json of(const RecordInfo& record);
[[nodiscard]] Json of(const LetterInfo& letter);
[[nodiscard]] Json of(const SpoolTotals& totals);
[[nodiscard]] Json of(const SpoolState& state);
[[nodiscard]] Json of(const LettersMoved& moved);

// The way back. Throw Json::exception where it is no such document.
[[nodiscard]] RecordInfo record_of(const Json& json);
[[nodiscard]] LetterInfo letter_of(const Json& json);
[[nodiscard]] SpoolState state_of(const Json& json);
[[nodiscard]] LettersMoved moved_of(const Json& json);

/// One line; what is no UTF-8 is replaced, and what visible() would not show as it is is escaped.
[[nodiscard]] std::string line_of(const Json& json);

}  // namespace m2b::documents
