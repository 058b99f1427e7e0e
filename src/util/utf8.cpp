#include "m2b/util/utf8.hpp"

#include <cstdint>

namespace m2b {

std::size_t utf8_character_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const auto byte = [text](std::size_t at) { return static_cast<std::uint8_t>(text[at]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;  // a continuation, overlong, or above U+10FFFF

  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < length) return 0;

  // The second byte decides about overlong forms, surrogates and the end of the code space.
  const std::uint8_t lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < lowest || byte(1) > highest) return 0;
  for (std::size_t at = 2; at < length; ++at) {
    if ((byte(at) & 0xC0U) != 0x80U) return 0;
  }
  return length;
}

char32_t utf8_code_point(std::string_view character) noexcept {
  constexpr std::uint8_t kLeadBits[] = {0x7F, 0x1F, 0x0F, 0x07};
  char32_t code = static_cast<std::uint8_t>(character.front()) & kLeadBits[character.size() - 1];
  for (const char byte : character.substr(1)) {
    code = code << 6U | (static_cast<std::uint8_t>(byte) & 0x3FU);
  }
  return code;
}

bool is_utf8(std::string_view text) noexcept { return utf8_prefix_length(text) == text.size(); }

std::size_t utf8_prefix_length(std::string_view text) noexcept {
  std::size_t at = 0;
  while (const std::size_t length = utf8_character_length(text.substr(at))) at += length;
  return at;
}

char32_t encoded_surrogate(std::string_view text) noexcept {
  constexpr std::size_t kBytes = 3;
  if (text.size() < kBytes || text[0] != '\xED') return 0;
  for (const char byte : text.substr(1, kBytes - 1)) {
    if ((static_cast<std::uint8_t>(byte) & 0xC0U) != 0x80U) return 0;
  }
  const char32_t code = utf8_code_point(text.substr(0, kBytes));
  return is_surrogate(code) ? code : 0;
}

void append_utf8(std::string& text, char32_t code) {
  constexpr unsigned kBitsOfContinuation = 6;
  constexpr std::uint8_t kLeads[] = {0x00, 0xC0, 0xE0, 0xF0};
  const std::size_t length = utf8_length(code);
  unsigned shift = static_cast<unsigned>(length - 1) * kBitsOfContinuation;
  text += static_cast<char>(kLeads[length - 1] | code >> shift);
  while (shift > 0) {
    shift -= kBitsOfContinuation;
    text += static_cast<char>(0x80U | (code >> shift & 0x3FU));
  }
}

}  // namespace m2b
