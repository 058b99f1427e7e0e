#pragma once

#include <string>

#include "m2b/status/status_server.hpp"

namespace m2b {

/// All metrics in Prometheus' text format 0.0.4, read at this moment.
[[nodiscard]] std::string metrics_text(const StatusSources& sources);

}  // namespace m2b
