#pragma once

#include <string>

#include "m2b/status/status_server.hpp"
#include "status/diagnosis.hpp"

namespace m2b {

/// All metrics in Prometheus' text format 0.0.4, read at this moment; of the diagnosis its state
/// and warnings.
[[nodiscard]] std::string metrics_text(const StatusSources& sources, const Diagnosis& diagnosis);

}  // namespace m2b
