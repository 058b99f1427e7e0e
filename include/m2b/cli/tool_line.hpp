#pragma once

#include <string>
#include <variant>

#include "m2b/cli/command_line.hpp"
#include "m2b/config/config.hpp"
#include "m2b/tools/tools.hpp"

namespace m2b {

/// Whether the arguments ask for a tool (`spool …`, `dead-letter …`) and not for the daemon.
[[nodiscard]] bool is_tool_line(int argc, const char* const* argv);

/// The arguments of a tool. The spool's folder comes from --spool-dir or SPOOL_DIR, as with the
/// daemon. A mistake gives one line.
[[nodiscard]] std::variant<ToolRequest, Exit> parse_tool_line(int argc, const char* const* argv,
                                                              const Environment& environment);

}  // namespace m2b
