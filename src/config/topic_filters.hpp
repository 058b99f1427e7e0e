#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/values.hpp"

namespace m2b::config {

/// TOPIC: one or more topic filters after MQTT 5, sections 4.7 and 4.8.2, separated by `,`; a comma
/// inside a filter is written `\,`. Everything else is taken as it stands.
[[nodiscard]] Parsed<std::vector<std::string>> parse_topic_filters(std::string_view text);

}  // namespace m2b::config
