#pragma once

#include <string>

#include "m2b/pipeline/pipeline.hpp"
#include "m2b/status/status_server.hpp"
#include "status/causes.hpp"

namespace m2b {

/// Why nothing is uploaded. An HTTP answer never counts as "unreachable". Pure.
[[nodiscard]] Cause cause_of(const StoreTrouble& trouble, const StatusNames& names);

/// Of messages that are refused while others are stored. Pure.
[[nodiscard]] Cause cause_of(const Refusal& refusal, const StatusNames& names);

/// `AccessDenied`, `HTTP 413`, `timeout`
[[nodiscard]] std::string answer_of(const PutResult& result);

/// Whose messages they are: `under cam2/`, `of 4.2 to 8.4 MB`; empty for single ones.
[[nodiscard]] std::string group_of(const Refusal& refusal);

}  // namespace m2b
