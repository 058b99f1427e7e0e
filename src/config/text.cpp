#include "config/text.hpp"

#include <algorithm>
#include <cstddef>

#include "m2b/util/utf8.hpp"
#include "m2b/util/visible.hpp"

namespace m2b::config {
namespace {

constexpr std::size_t kMaxShownBytes = 100;
constexpr std::size_t kMaxMqttStringBytes = 65'535;

/// `tcp://user:password@host`, also without the scheme; with it, `tcp://token@host` as well.
std::string without_url_password(std::string_view value) {
  const auto scheme_end = value.find("://");
  const bool has_scheme = scheme_end != std::string_view::npos;
  const auto start = has_scheme ? scheme_end + 3 : 0;
  const auto at = value.rfind('@');
  const auto colon = value.find(':', start);
  if (at == std::string_view::npos || at < start || (!has_scheme && colon >= at)) {
    return std::string(value);
  }
  return std::string(value.substr(0, start)) + "***" + std::string(value.substr(at));
}

}  // namespace

std::string shown(std::string_view value) {
  const std::string masked = without_url_password(value);
  std::string_view rest = masked;
  while (!rest.empty() && masked.size() - rest.size() < kMaxShownBytes) {
    rest.remove_prefix(std::max<std::size_t>(utf8_character_length(rest), 1));
  }
  const std::string_view begin = std::string_view(masked).substr(0, masked.size() - rest.size());
  std::string out = '"' + visible(begin, "\"\\") + '"';
  if (!rest.empty()) {
    out += "... (" + std::to_string(value.size()) + " bytes)";
  }
  return out;
}

bool is_mqtt_string(std::string_view text) noexcept {
  if (text.size() > kMaxMqttStringBytes) {
    return false;
  }
  while (!text.empty()) {
    const std::size_t length = utf8_character_length(text);
    if (length == 0 || text.front() == '\0') {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace m2b::config
