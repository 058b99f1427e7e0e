#pragma once

#include <string_view>

/// The files of src/status/page, as the build put them into the program.
namespace m2b::page_assets {

[[nodiscard]] std::string_view page_html() noexcept;
[[nodiscard]] std::string_view page_css() noexcept;
[[nodiscard]] std::string_view page_js() noexcept;
[[nodiscard]] std::string_view icon_svg() noexcept;

}  // namespace m2b::page_assets
