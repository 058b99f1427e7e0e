#include "http/request_size.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <system_error>

namespace m2b {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kEndOfLine = "\r\n";
constexpr std::size_t kMostBody = std::size_t{1} << 40;  // that the sum of both cannot overflow

bool is_same_name(std::string_view name, std::string_view lower) {
  return std::ranges::equal(name, lower, [](char one, char other) {
    return std::tolower(static_cast<unsigned char>(one)) == other;
  });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

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
    if (is_same_name(name, "transfer-encoding")) {
      return LengthRefused{};
    }
    if (is_same_name(name, "content-length")) {
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
