#include "decode/outline.hpp"

#include <simdjson.h>

#include <utility>

#include "decode/json_string.hpp"

namespace m2b {
namespace {

constexpr std::size_t kLongBytes = 4096;

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

/// Nothing when it has what may not stand in a string, which is for the parser to refuse.
std::optional<StringMarks::Text> text_of_content(std::string_view content) {
  const bool is_plain = content.find('\\') == std::string_view::npos &&
                        !has_control_characters(content) && simdjson::validate_utf8(content);
  if (is_plain) {
    return content;
  }
  return unescape_json(content);
}

}  // namespace

std::optional<std::string> make_outline(std::string_view json, std::size_t max_bytes,
                                        StringMarks& marks) {
  std::string outline;
  const auto add = [&](std::string_view part) {
    const bool has_room = part.size() <= max_bytes - outline.size();
    outline += has_room ? part : "";
    return has_room;
  };
  while (!json.empty()) {
    const std::size_t quote = json.find('"');
    const std::size_t begin = quote + 1;
    const auto end =
        quote == std::string_view::npos ? std::nullopt : find_closing_quote(json, begin);
    if (!end) {
      return add(json) ? std::optional(std::move(outline)) : std::nullopt;
    }
    const std::string_view content = json.substr(begin, *end - 1 - begin);
    std::optional<StringMarks::Text> text;
    if (content.size() >= kLongBytes || StringMarks::could_be_mark(content)) {
      text = text_of_content(content);
    }
    const bool has_room = text ? add(json.substr(0, quote)) && add(marks.add(*std::move(text)))
                               : add(json.substr(0, *end));
    if (!has_room) {
      return std::nullopt;
    }
    json.remove_prefix(*end);
  }
  return outline;
}

}  // namespace m2b
