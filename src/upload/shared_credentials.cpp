#include "upload/shared_credentials.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/ascii.hpp"
#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

constexpr std::string_view kBlanks = " \t\r";

/// Cuts the first line off.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return trimmed(line, kBlanks);
}

bool is_comment(std::string_view line) {
  return line.empty() || line.front() == '#' || line.front() == ';';
}

}  // namespace

std::variant<Credentials, std::string> parse_shared_credentials(std::string_view text,
                                                                std::string_view profile) {
  Credentials credentials;
  bool found = false;
  bool inside = false;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (is_comment(line)) {
      continue;
    }
    if (line.front() == '[' && line.back() == ']') {
      inside = trimmed(line.substr(1, line.size() - 2), kBlanks) == profile;
      found = found || inside;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) {
      continue;
    }
    const std::string_view name = trimmed(line.substr(0, equals), kBlanks);
    const std::string value(trimmed(line.substr(equals + 1), kBlanks));
    if (is_ascii_word(name, "aws_access_key_id")) {
      credentials.access_key = value;
    } else if (is_ascii_word(name, "aws_secret_access_key")) {
      credentials.secret_key = Secret(value);
    } else if (is_ascii_word(name, "aws_session_token")) {
      credentials.session_token = Secret(value);
    }
  }
  if (!found) {
    return fmt::format("has no profile [{}]", visible(profile));
  }
  for (const auto& [name, missing] :
       {std::pair("aws_access_key_id", credentials.access_key.empty()),
        std::pair("aws_secret_access_key", credentials.secret_key.empty())}) {
    if (missing) {
      return fmt::format("has no {} in profile [{}]", name, visible(profile));
    }
  }
  return credentials;
}

}  // namespace m2b
