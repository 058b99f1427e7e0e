#pragma once

#include <optional>
#include <string>

#include "m2b/spool/spool.hpp"

namespace m2b {

/// The state of a spool as a whole.
struct SpoolState {
  std::optional<SpoolTotals> totals;  // none: the accounts cannot be read
  std::string intake = {};            // as to_string(Intake); empty: no daemon uses the spool
};

}  // namespace m2b
