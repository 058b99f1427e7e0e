#include "upload/http_header.hpp"

namespace m2b {

std::string_view strong_etag(std::string_view value) noexcept {
  constexpr std::size_t kQuotes = 2;
  if (value.size() <= kQuotes || value.front() != '"' || value.back() != '"') return {};
  const std::string_view tag = value.substr(1, value.size() - kQuotes);
  return tag.find('"') == std::string_view::npos ? tag : std::string_view{};
}

}  // namespace m2b
