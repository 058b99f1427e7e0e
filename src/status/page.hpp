#pragma once

#include <string>
#include <string_view>

#include "status/status_json.hpp"

namespace m2b {

/// Text as it may stand in HTML, between tags and in quoted attributes.
[[nodiscard]] std::string escape_html(std::string_view text);

/// The page as it is without JavaScript: the sentence, the warnings, and all values as a table. Its
/// scripts take it from there.
[[nodiscard]] std::string render_page(const StatusView& view);

}  // namespace m2b
