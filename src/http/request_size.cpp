#include "http/request_size.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kEndOfLine = "\r\n";
constexpr std::size_t kMostBody = std::size_t{1} << 40;  // that the sum of both cannot overflow

std::optional<std::size_t> number_of(std::string_view text) {
  std::size_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end && value <= kMostBody ? std::optional(value)
                                                                   : std::nullopt;
}

}  // namespace

RequestLength length_of_request(std::string_view received) {
  const std::size_t end = received.find(kEndOfHead);
  if (end == std::string_view::npos) {
    return LengthUnknown{};
  }
  std::optional<std::size_t> body;
  std::string_view lines = received.substr(0, end + kEndOfLine.size());
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find(kEndOfLine));
    lines.remove_prefix(line.size() + kEndOfLine.size());
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      continue;
    }
    const std::string_view name = trimmed(line.substr(0, colon));
    if (is_ascii_word(name, "transfer-encoding")) {
      return LengthRefused{};
    }
    if (is_ascii_word(name, "content-length")) {
      const auto value = number_of(trimmed(line.substr(colon + 1)));
      if (!value || (body && body != value)) {
        return LengthRefused{};
      }
      body = value;
    }
  }
  return end + kEndOfHead.size() + body.value_or(0);
}

}  // namespace m2b
