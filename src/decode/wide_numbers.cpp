#include "decode/wide_numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace m2b {
namespace {

constexpr std::string_view kDigits = "0123456789";

/// Takes the digits from the start of the text; how many there were.
std::size_t take_digits(std::string_view& text) {
  const std::size_t count = std::min(text.find_first_not_of(kDigits), text.size());
  text.remove_prefix(count);
  return count;
}

bool take_one_of(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// RFC 8259, section 6.
bool is_json_number(std::string_view token) {
  take_one_of(token, "-");
  const bool leading_zero = token.starts_with('0');
  const std::size_t digits = take_digits(token);
  if (digits == 0 || (leading_zero && digits > 1)) return false;
  if (take_one_of(token, ".") && take_digits(token) == 0) return false;
  if (take_one_of(token, "eE")) {
    take_one_of(token, "+-");
    if (take_digits(token) == 0) return false;
  }
  return token.empty();
}

template <class Integer>
bool fits(std::string_view token) {
  Integer value = 0;
  const char* const end = token.data() + token.size();
  const auto [rest, error] = std::from_chars(token.data(), end, value);
  return error == std::errc() && rest == end;
}

/// Where the string that starts at the quote ends: behind its closing quote.
std::size_t end_of_string(std::string_view json, std::size_t quote) {
  std::size_t at = quote + 1;
  for (;;) {
    at = json.find_first_of("\"\\", at);
    if (at == std::string_view::npos) return json.size();
    if (json[at] == '"') return at + 1;
    at = std::min(at + 2, json.size());
  }
}

}  // namespace

std::string replace_wide_numbers(std::string_view json) {
  constexpr std::string_view kReplacement = "0.0";
  std::string result(json);
  std::size_t at = 0;
  for (;;) {
    at = json.find_first_of("\"-0123456789", at);
    if (at == std::string_view::npos) return result;
    if (json[at] == '"') {
      at = end_of_string(json, at);
      continue;
    }
    const std::size_t end = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
    const std::string_view token = json.substr(at, end - at);
    if (is_json_number(token) && !fits<std::int64_t>(token) && !fits<std::uint64_t>(token)) {
      // Never longer than what it replaces: a fraction or an exponent takes three characters.
      std::fill(result.begin() + static_cast<std::ptrdiff_t>(at),
                result.begin() + static_cast<std::ptrdiff_t>(end), ' ');
      result.replace(at, kReplacement.size(), kReplacement);
    }
    at = end;
  }
}

}  // namespace m2b
