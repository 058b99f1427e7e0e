#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "m2b/spool/message.hpp"
#include "spool/lmdb_file.hpp"

namespace m2b {

/// All bytes of a record; nothing where they cannot be read.
using LoadRecord = std::function<std::optional<std::string>()>;

/// A record found in a file: its first bytes (none where its first piece is missing), how many
/// there are of it, and the way to all of them.
using TakeRecord = std::function<void(SpoolId id, std::string_view beginning, std::size_t bytes,
                                      const LoadRecord& load)>;

/// Each record of an environment's file that is read without LMDB: of the newest commit, its pieces
/// put together, in the order of ids. `load` gives nothing where the bytes cannot be read, and may
/// only be called in the meantime.
void walk_records(const lmdb::File& file, const TakeRecord& take);

/// Records to which no tree leads any more, since the commit that brought them is lost: those with
/// an id above `last_id`, which no older commit had. Only whole ones with the right checksum, in
/// the order of ids. Reads the whole file.
void walk_newer_records(const lmdb::File& file, std::uint64_t last_id, const TakeRecord& take);

}  // namespace m2b
