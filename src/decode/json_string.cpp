#include "decode/json_string.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>

#include "m2b/util/utf8.hpp"

namespace m2b {
namespace {

constexpr JsonCharacter kNoCharacter{0, 0};

/// Of four hexadecimal digits; nothing where the text does not start with them.
std::optional<char32_t> hex_code(std::string_view text) noexcept {
  constexpr std::size_t kDigits = 4;
  const std::string_view digits = text.substr(0, kDigits);
  std::uint32_t code = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, code, 16);
  const bool is_code = digits.size() == kDigits && error == std::errc() && rest == end;
  return is_code ? std::optional<char32_t>(code) : std::nullopt;
}

JsonCharacter unicode_escape(std::string_view text) noexcept {
  constexpr std::string_view kStart = "\\u";
  constexpr std::size_t kBytes = 6;
  const auto code = hex_code(text.substr(kStart.size()));
  if (!code) return kNoCharacter;
  const std::string_view next = text.substr(kBytes);
  if (is_high_surrogate(*code) && next.starts_with(kStart)) {
    const auto low = hex_code(next.substr(kStart.size()));
    if (low && is_low_surrogate(*low)) return {2 * kBytes, join_surrogates(*code, *low)};
  }
  return {kBytes, *code};
}

/// The text begins with a backslash.
JsonCharacter escape(std::string_view text) noexcept {
  constexpr std::string_view kNames = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  constexpr std::size_t kBytes = 2;
  if (text.size() < kBytes) return kNoCharacter;
  if (text[1] == 'u') return unicode_escape(text);
  const std::size_t at = kNames.find(text[1]);
  if (at == std::string_view::npos) return kNoCharacter;
  return {kBytes, static_cast<char32_t>(kMeanings[at])};
}

}  // namespace

JsonCharacter first_json_character(std::string_view text) noexcept {
  if (text.front() == '\\') return escape(text);
  if (static_cast<std::uint8_t>(text.front()) < ' ') return kNoCharacter;
  if (const std::size_t bytes = utf8_character_length(text)) {
    return {bytes, utf8_code_point(text.substr(0, bytes))};
  }
  const char32_t surrogate = encoded_surrogate(text);
  return surrogate != 0 ? JsonCharacter{utf8_length(surrogate), surrogate} : kNoCharacter;
}

std::size_t plain_json_length(std::string_view text) noexcept {
  const auto is_special = [](char character) {
    const auto byte = static_cast<std::uint8_t>(character);
    return byte < ' ' || byte >= 0x80 || byte == '"' || byte == '\\';
  };
  const auto* const end = std::find_if(text.begin(), text.end(), is_special);
  return static_cast<std::size_t>(end - text.begin());
}

std::optional<std::string> unescape_json(std::string_view content) {
  std::string text;
  text.reserve(content.size());
  while (!content.empty()) {
    const std::size_t plain = plain_json_length(content);
    text += content.substr(0, plain);
    content.remove_prefix(plain);
    if (content.empty()) break;
    const JsonCharacter character = first_json_character(content);
    if (character.bytes == 0) return std::nullopt;
    append_utf8(text, character.code);
    content.remove_prefix(character.bytes);
  }
  return text;
}

}  // namespace m2b
