#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "m2b/util/fd.hpp"

namespace m2b {

/// What lies below SPOOL_DIR is only what the spool made there: folders and regular files. Whoever
/// may write to that folder could make anything else, and have a process with more rights write
/// where he may not. So nothing below is opened through a link, no FIFO is waited for, and what is
/// of another kind is refused by its name. SPOOL_DIR itself may be a link, and so may what leads to
/// it.
///
/// All throw SpoolError for a file of another kind and lmdb::Error for any other failure.
namespace private_files {

/// A folder below SPOOL_DIR; the last component of its path is no link.
[[nodiscard]] Fd open_folder(const std::filesystem::path& folder);

/// A regular file in that folder, as open(2) with `flags`; with O_CREAT it is made for the owner
/// alone. An empty result: there is none.
[[nodiscard]] Fd open_file(const Fd& folder, const std::filesystem::path& path, int flags);
[[nodiscard]] Fd open_file(const std::filesystem::path& path, int flags);

/// A new file in place of whatever has that name; a folder stays and is an error.
[[nodiscard]] Fd make_file(const std::filesystem::path& path);

/// Whether there is a regular file of that name.
[[nodiscard]] bool has_file(const std::filesystem::path& path);

/// Whether there is anything of that name.
[[nodiscard]] bool is_there(const std::filesystem::path& path);

/// Makes a folder for the owner alone; false: it was there.
bool make_folder(const std::filesystem::path& folder);

/// A path for a person: SPOOL_DIR may be named by its descriptor (/proc/self/fd/N).
[[nodiscard]] std::string shown(const std::filesystem::path& path);

}  // namespace private_files
}  // namespace m2b
