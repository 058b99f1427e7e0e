#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "spool/lmdb.hpp"

/// Small values that must not change unnoticed: with a checksum, and written twice, so that one
/// flipped bit costs nothing.
namespace m2b::sealed {

[[nodiscard]] std::string seal(std::string_view text);

/// What is inside of a sealed value; nothing when its checksum is wrong.
[[nodiscard]] std::optional<std::string> open(std::string_view sealed);

void put(const lmdb::Txn& txn, MDB_dbi dbi, std::string_view key, std::string_view text);

/// From the first of the two that is intact; nothing when none is there.
[[nodiscard]] std::optional<std::string> get(const lmdb::Txn& txn, MDB_dbi dbi,
                                             std::string_view key);

}  // namespace m2b::sealed
