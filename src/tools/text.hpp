#pragma once

#include <cstdint>
#include <string>

#include "m2b/spool/message.hpp"

/// How the tools write things for a person.
namespace m2b::text {

/// 2026-11-25T11:20:13Z; empty for a time that is not known.
[[nodiscard]] std::string time(WallTime time);
/// 17 B, 1.2 MiB
[[nodiscard]] std::string size(std::uint64_t bytes);

}  // namespace m2b::text
