#include "decode/base64.hpp"

#include <cstddef>
#include <cstdint>

#include <fmt/format.h>
#include <modp_b64.h>

#include "decode/base64_blocks.hpp"

namespace m2b {
namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kWhiteSpaceAndNul{" \t\r\n\0", 5};

std::string explain_foreign_character(std::string_view text, std::size_t at) {
  const char character = text[at];
  const auto byte = static_cast<std::uint8_t>(character);
  const bool is_last = text.find_first_not_of(kWhiteSpaceAndNul, at) == std::string_view::npos;
  const std::string_view place = is_last ? "behind" : at == 0 ? "before" : "within";
  const auto misplaced = [&](std::string_view name) {
    return fmt::format("{} (0x{:02X}) {} the base64 text, at byte {}", name, byte, place, at);
  };
  if (character == '\n' || character == '\r') return misplaced("a line break");
  if (character == ' ' || character == '\t') return misplaced("white space");
  if (character == '\0') return misplaced("a NUL");
  if (character == '-' || character == '_') {
    return fmt::format("'{}' of the URL-safe alphabet, at byte {}", character, at);
  }
  const std::string_view start = text.substr(0, at);
  if (character == ':' && start == "data") return "a data: URL, at byte 0";
  if (character == '\'' && start == "b") return "Python's b'...' notation, at byte 0";
  return fmt::format("the byte 0x{:02X} is not of the alphabet, at byte {}", byte, at);
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string bytes(modp_b64_decode_len(text.size()), '\0');
  const std::size_t done = decode_base64_blocks(text, bytes);
  const std::size_t decoded = done / 4 * 3;
  const std::size_t rest =
      modp_b64_decode(bytes.data() + decoded, text.data() + done, text.size() - done);
  if (rest == static_cast<std::size_t>(-1)) return std::nullopt;
  bytes.resize(decoded + rest);
  return bytes;
}

std::variant<std::string, BadBase64> decode_large_base64(
    std::string_view text, const std::function<void(std::string_view)>& on_decoded) {
  constexpr std::size_t kBlockCharacters = std::size_t{1} << 20;
  std::string bytes;
  bytes.reserve(modp_b64_decode_len(text.size()));
  for (std::size_t at = 0; at < text.size(); at += kBlockCharacters) {
    const std::string_view block = text.substr(at, kBlockCharacters);
    const bool is_last = at + block.size() == text.size();
    const auto part = decode_base64(block);
    if (!part || (!is_last && block.back() == '=')) {
      return BadBase64{explain_bad_base64(text, at)};
    }
    bytes += *part;
    on_decoded(block);
  }
  return bytes;
}

std::string explain_bad_base64(std::string_view text, std::size_t offset) {
  const std::size_t data_end = text.find_first_not_of(kBase64Alphabet, offset);
  const std::size_t foreign = text.find_first_not_of('=', data_end);
  if (data_end == std::string_view::npos || foreign == std::string_view::npos) {
    return fmt::format("wrong padding at the end of {} characters", text.size());
  }
  if (kBase64Alphabet.find(text[foreign]) != std::string_view::npos) {
    return fmt::format("padding before the end, at byte {}", data_end);
  }
  return explain_foreign_character(text, foreign);
}

}  // namespace m2b
