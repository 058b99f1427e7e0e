// decode/base64: the processor's wide instructions and the table beside them against a decoder that
// is too plain to be wrong.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "decode/base64.hpp"
#include "decode/base64_blocks.hpp"
#include "fuzz/checks.hpp"

namespace {

using m2b::fuzz::require;

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4: the alphabet, '=' up to a multiple of four, nothing else. Unused bits of
/// the last character are ignored.
std::optional<std::string> decode_plainly(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char character : text.substr(0, text.size() - padding)) {
    const std::size_t value = kAlphabet.find(character);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xFFU);
    }
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const m2b::fuzz::Exact input({reinterpret_cast<const char*>(data), size});
  const std::string_view text = input.view();

  const auto expected = decode_plainly(text);
  require(m2b::decode_base64(text) == expected, "both decoders agree");
  if (!expected) require(!m2b::explain_bad_base64(text).empty(), "a refusal is explained");

  std::string bytes(text.size() / 4 * 3, '\0');
  const std::size_t done = m2b::decode_base64_blocks(text, bytes);
  require(done % 4 == 0 && done <= text.size(), "whole groups are decoded");
  require(decode_plainly(text.substr(0, done)) == bytes.substr(0, done / 4 * 3),
          "the wide instructions agree");
  return 0;
}
