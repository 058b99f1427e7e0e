#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "m2b/spool/message.hpp"
#include "spool/lmdb_file.hpp"

namespace m2b {

/// A record found in a file: its first bytes, how many there are of it, and the way to all of them.
using TakeRecord = std::function<void(SpoolId id, std::string_view beginning, std::size_t bytes,
                                      const std::function<std::optional<std::string>()>& load)>;

/// Each record of an environment's file that is read without LMDB: of the newest commit, its pieces
/// put together, in the order of ids. `load` gives nothing where the bytes cannot be read, and may
/// only be called in the meantime.
void walk_records(const lmdb::File& file, const TakeRecord& take);

}  // namespace m2b
