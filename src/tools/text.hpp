#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m2b/spool/message.hpp"

/// How the tools write things for a person.
namespace m2b::text {

/// 2026-11-25T11:20:13Z; empty for a time that is not known.
[[nodiscard]] std::string time(WallTime time);
/// 17 B, 1.2 MiB
[[nodiscard]] std::string size(std::uint64_t bytes);
/// Without what would move a terminal's cursor.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace m2b::text
