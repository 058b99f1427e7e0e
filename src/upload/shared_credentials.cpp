#include "upload/shared_credentials.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// Cuts the first line off.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return trimmed(line);
}

bool is_comment(std::string_view line) {
  return line.empty() || line.front() == '#' || line.front() == ';';
}

bool is_name(std::string_view text, std::string_view name) {
  return std::ranges::equal(text, name, [](unsigned char left, unsigned char right) {
    return std::tolower(left) == right;
  });
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
      inside = trimmed(line.substr(1, line.size() - 2)) == profile;
      found = found || inside;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) {
      continue;
    }
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string value(trimmed(line.substr(equals + 1)));
    if (is_name(name, "aws_access_key_id")) {
      credentials.access_key = value;
    } else if (is_name(name, "aws_secret_access_key")) {
      credentials.secret_key = Secret(value);
    } else if (is_name(name, "aws_session_token")) {
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
