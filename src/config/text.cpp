#include "config/text.hpp"

#include <cstddef>
#include <cstdint>

namespace m2b::config {
namespace {

constexpr std::size_t kMaxShownBytes = 100;
constexpr std::size_t kMaxMqttStringBytes = 65'535;

std::uint8_t byte_at(std::string_view text, std::size_t index) noexcept {
  return static_cast<std::uint8_t>(text[index]);
}

/// Bytes of the well-formed UTF-8 sequence that `text` begins with (Unicode, table 3-7), or 0.
std::size_t sequence_length(std::string_view text) noexcept {
  const std::uint8_t lead = byte_at(text, 0);
  if (lead < 0x80) {
    return 1;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) {
    return 0;
  }
  const std::uint8_t second = byte_at(text, 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second > 0x9F;
  const bool beyond_unicode = lead == 0xF4 && second > 0x8F;
  if (overlong || surrogate || beyond_unicode) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xC0) != 0x80) {
      return 0;
    }
  }
  return length;
}

/// `length` is that of the UTF-8 sequence at the start of `text`.
bool is_control(std::string_view text, std::size_t length) noexcept {
  const std::uint8_t lead = byte_at(text, 0);
  return (length == 1 && (lead < 0x20 || lead == 0x7F)) ||
         (length == 2 && lead == 0xC2 && byte_at(text, 1) < 0xA0);
}

void append_hex(std::string& out, std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 0x0F];
}

/// `tcp://user:password@host`, with and without the scheme.
std::string without_url_password(std::string_view value) {
  const auto scheme_end = value.find("://");
  const auto start = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  const auto at = value.rfind('@');
  const auto colon = value.find(':', start);
  if (at == std::string_view::npos || at < start || colon >= at) {
    return std::string(value);
  }
  return std::string(value.substr(0, start)) + "***" + std::string(value.substr(at));
}

}  // namespace

std::string shown(std::string_view value) {
  const std::string masked = without_url_password(value);
  std::string_view rest = masked;
  std::string out = "\"";
  while (!rest.empty() && masked.size() - rest.size() < kMaxShownBytes) {
    const std::size_t length = sequence_length(rest);
    if (length == 0) {
      append_hex(out, byte_at(rest, 0));
      rest.remove_prefix(1);
      continue;
    }
    if (is_control(rest, length)) {
      for (std::size_t i = 0; i < length; ++i) {
        append_hex(out, byte_at(rest, i));
      }
    } else {
      if (rest.front() == '"' || rest.front() == '\\') {
        out += '\\';
      }
      out += rest.substr(0, length);
    }
    rest.remove_prefix(length);
  }
  out += '"';
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
    const std::size_t length = sequence_length(text);
    if (length == 0 || text.front() == '\0') {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

bool has_control_character(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length != 0 && is_control(text, length)) {
      return true;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return false;
}

}  // namespace m2b::config
