#include "decode/outline.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace m2b {
namespace {

constexpr std::size_t kLongBytes = 4096;
/// Of a mark, as it stands in JSON and as a parser gives it. No string that stays begins with NUL
/// and goes on like one.
constexpr std::string_view kNul = R"(\u0000)";
constexpr std::string_view kMark = R"(\u0000long-string-)";
constexpr std::string_view kMarkText{"\0long-string-", 13};

/// What follows the closing quote of the string that begins behind its opening one; nothing when it
/// has none.
std::optional<std::size_t> find_closing_quote(std::string_view json, std::size_t begin) {
  std::size_t at = json.find('"', begin);
  if (at == std::string_view::npos ||
      json.substr(begin, at - begin).find('\\') == std::string_view::npos) {
    return at == std::string_view::npos ? std::nullopt : std::optional(at + 1);
  }
  for (at = begin; at < json.size(); ++at) {
    if (json[at] == '"') {
      return at + 1;
    }
    at += json[at] == '\\' ? 1 : 0;
  }
  return std::nullopt;
}

bool has_control_characters(std::string_view text) {
  constexpr unsigned char kFirstPrintable = 0x20;
  // Without a branch the compiler looks at many at a time.
  unsigned found = 0;
  for (const char character : text) {
    found |= static_cast<unsigned char>(character) < kFirstPrintable ? 1U : 0U;
  }
  return found != 0;
}

/// What `\X` stands for, of those with two characters (RFC 8259, section 7).
std::optional<char> unescape(char character) {
  constexpr std::string_view kEscapes = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const std::size_t at = kEscapes.find(character);
  return at == std::string_view::npos ? std::nullopt : std::optional(kMeanings[at]);
}

/// The ASCII character of four hexadecimal digits; others are the parser's business.
std::optional<char> ascii_of(std::string_view digits) {
  constexpr unsigned kFirstBeyond = 0x80;
  unsigned value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value, 16);
  const bool is_ascii =
      digits.size() == 4 && error == std::errc() && rest == end && value < kFirstBeyond;
  return is_ascii ? std::optional(static_cast<char>(value)) : std::nullopt;
}

/// Nothing when it has an escape that only the parser understands.
std::optional<std::string> without_escapes(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  while (true) {
    const std::size_t at = text.find('\\');
    plain += text.substr(0, at);
    if (at == std::string_view::npos) {
      return plain;
    }
    text.remove_prefix(at + 1);
    const bool is_unicode = text.starts_with('u');
    const auto character = is_unicode ? ascii_of(text.substr(1, 4)) : unescape(text.front());
    if (!character) {
      return std::nullopt;
    }
    plain += *character;
    text.remove_prefix(is_unicode ? 5 : 1);
  }
}

/// Nothing when it is the parser's business.
std::optional<std::variant<std::string_view, std::string>> text_of_content(
    std::string_view content) {
  if (content.find('\\') == std::string_view::npos) {
    return content;
  }
  auto plain = without_escapes(content);
  return plain ? std::optional<std::variant<std::string_view, std::string>>(*std::move(plain))
               : std::nullopt;
}

}  // namespace

Outline::Result Outline::of(std::string_view json, std::size_t max_bytes) {
  Outline outline;
  std::string& out = outline.json_;
  const auto add = [&](std::string_view part) {
    const bool has_room = out.size() + part.size() <= max_bytes;
    out += has_room ? part : "";
    return has_room;
  };
  while (!json.empty()) {
    const std::size_t quote = json.find('"');
    if (quote == std::string_view::npos) {
      if (!add(json)) return TooLong{};
      break;
    }
    const std::size_t begin = quote + 1;
    const auto end = find_closing_quote(json, begin);
    if (!end) {
      return NotJson{simdjson::error_message(simdjson::UNCLOSED_STRING)};
    }
    const std::string_view content = json.substr(begin, *end - 1 - begin);
    std::optional<Text> text;
    if (content.size() >= kLongBytes || content.starts_with(kNul)) {
      if (has_control_characters(content)) {
        return NotJson{simdjson::error_message(simdjson::UNESCAPED_CHARS)};
      }
      if (!simdjson::validate_utf8(content)) {
        return NotJson{simdjson::error_message(simdjson::UTF8_ERROR)};
      }
      text = text_of_content(content);
    }
    const bool has_room = text ? add(json.substr(0, begin)) &&
                                     add(fmt::format("{}{}\"", kMark, outline.texts_.size()))
                               : add(json.substr(0, *end));
    if (!has_room) {
      return TooLong{};
    }
    if (text) {
      outline.texts_.push_back(*std::move(text));
    }
    json.remove_prefix(*end);
  }
  out.append(kPaddingBytes, '\0');
  return outline;
}

std::string_view Outline::text_of(std::string_view string) const {
  if (!string.starts_with(kMarkText)) {
    return string;
  }
  const std::string_view digits = string.substr(kMarkText.size());
  const char* const end = digits.data() + digits.size();
  std::size_t number = 0;
  const auto [rest, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || rest != end || number >= texts_.size()) {
    return string;
  }
  return std::visit([](const auto& text) { return std::string_view(text); }, texts_[number]);
}

}  // namespace m2b
