#pragma once

#include <string_view>
#include <vector>

#include "check/lane.hpp"
#include "m2b/spool/options.hpp"

namespace m2b::check {

/// The names of the steps of check_spool().
[[nodiscard]] std::vector<std::string_view> spool_steps();

/// Whether this user may use the spool's folder, and whether the disk has room. Nothing is opened,
/// locked or made: a bridge may run.
void check_spool(Lane& lane, const SpoolOptions& options);

}  // namespace m2b::check
