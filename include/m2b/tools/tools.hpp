#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <limits>
#include <optional>
#include <vector>

#include "m2b/encryption/key_ring.hpp"
#include "m2b/spool/dead_letter.hpp"
#include "m2b/spool/message.hpp"

namespace m2b {

/// Which messages a tool is about; what is empty does not restrict.
struct Selection {
  std::vector<SpoolId> ids = {};
  std::vector<DeadLetterReason> reasons = {};                // dead letters
  std::optional<std::chrono::milliseconds> older_than = {};  // dead letters
};

/// What a person wants of a spool.
struct ToolRequest {
  enum class Action {
    spool_stat,
    spool_ls,
    spool_show,
    spool_verify,
    spool_export,
    spool_repair,
    letters_ls,
    letters_show,
    letters_export,
    letters_replay,
    letters_drop
  };
  Action action{};
  std::filesystem::path directory = {};  // of the spool
  KeyRing keys = {};                     // of what is encrypted in it
  Selection selection = {};
  std::filesystem::path target = {};                            // of an export
  std::size_t limit = std::numeric_limits<std::size_t>::max();  // of a list
  bool json = false;
  bool payload = false;    // show: the message itself and nothing else
  bool confirmed = false;  // drop
};

/// Where a tool writes.
struct ToolOutput {
  std::ostream& out;
  std::ostream& err;
  bool shows_progress;  // err is a terminal
};

/// Does it: beside the daemon that uses the spool by asking it, otherwise by reading the files.
/// Returns the exit code: 0; 1 what was found is damaged, or not all could be done; 66 no spool or
/// no such message; 74 input/output.
[[nodiscard]] int run_tool(const ToolRequest& request, const ToolOutput& output);

}  // namespace m2b
