#pragma once

#include <string>

#include "control/documents.hpp"
#include "m2b/spool/record_info.hpp"
#include "status/access.hpp"
#include "status/diagnosis.hpp"
#include "status/history.hpp"
#include "status/snapshot.hpp"

namespace m2b {

/// What page and `/status` show.
struct StatusView {
  StatusSnapshot snapshot;
  Trends trends;
  Diagnosis diagnosis;
  History::Curves curves;
};

/// The document of `/status` (docs/status.md). Whatever comes from messages may be no UTF-8:
/// documents::line_of() writes it all the same.
[[nodiscard]] documents::Json status_json(const StatusView& view, const Access& access);

/// A dead letter with the beginning of its payload, as text where it is UTF-8 without control
/// characters, otherwise in hexadecimal digits.
[[nodiscard]] documents::Json letter_json(const LetterInfo& letter, std::string_view payload);

}  // namespace m2b
