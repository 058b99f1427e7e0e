#include "upload/chunked_body.hpp"

#include <charconv>
#include <cstddef>
#include <system_error>

namespace m2b {
namespace {

constexpr std::string_view kCrLf = "\r\n";

/// Takes the next line off the text; nothing where it has no end.
std::optional<std::string_view> take_whole_line(std::string_view& text) {
  const std::size_t end = text.find(kCrLf);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + kCrLf.size());
  return line;
}

/// `chunk-size [ chunk-ext ]`
std::optional<std::size_t> parse_size(std::string_view line) {
  constexpr int kHexadecimal = 16;
  std::size_t size = 0;
  const char* const end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data(), end, size, kHexadecimal);
  if (error != std::errc()) return std::nullopt;
  const bool is_extended = rest != end;
  if (is_extended && *rest != ';' && *rest != ' ' && *rest != '\t') return std::nullopt;
  return size;
}

}  // namespace

std::optional<std::string> decode_chunked(std::string_view raw) {
  std::string body;
  for (;;) {
    const auto size_line = take_whole_line(raw);
    const auto size = size_line ? parse_size(*size_line) : std::nullopt;
    if (!size) return std::nullopt;
    if (*size == 0) break;
    if (*size > raw.size()) return std::nullopt;
    body += raw.substr(0, *size);
    raw.remove_prefix(*size);
    if (!raw.starts_with(kCrLf)) return std::nullopt;
    raw.remove_prefix(kCrLf.size());
  }
  for (;;) {
    const auto trailer = take_whole_line(raw);
    if (!trailer) return std::nullopt;
    if (trailer->empty()) break;
  }
  if (!raw.empty()) return std::nullopt;
  return body;
}

}  // namespace m2b
