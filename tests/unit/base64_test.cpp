#include "decode/base64.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "decode/base64_blocks.hpp"

namespace {

using m2b::decode_base64;
using m2b::decode_base64_blocks;

TEST_SUITE("base64") {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  std::string encoded(std::string_view bytes) {
    std::string text;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char byte : bytes) {
      bits = (bits << 8U) | static_cast<std::uint8_t>(byte);
      for (count += 8; count >= 6; count -= 6) text += kAlphabet[(bits >> (count - 6)) & 63U];
    }
    if (count > 0) text += kAlphabet[(bits << (6 - count)) & 63U];
    return text + std::string((4 - text.size() % 4) % 4, '=');
  }

  std::string random_bytes(std::size_t size) {
    static std::mt19937 dice(7);
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(dice());
    return bytes;
  }

  TEST_CASE("all lengths come back, whatever part of them is decoded in blocks") {
    for (std::size_t size = 0; size < 400; ++size) {
      const std::string bytes = random_bytes(size);
      CHECK(decode_base64(encoded(bytes)) == bytes);
    }
    const std::string large = random_bytes(1'000'003);
    CHECK(decode_base64(encoded(large)) == large);
  }

  TEST_CASE("at each place of a block each byte is decoded as alone, or refused") {
    const std::string text = encoded(random_bytes(120));
    for (std::size_t place = 0; place < text.size(); ++place) {
      for (int value = 0; value < 256; ++value) {
        std::string changed = text;
        changed[place] = static_cast<char>(value);
        std::optional<std::string> expected = std::string();
        for (std::size_t at = 0; expected && at < changed.size(); at += 4) {
          const auto four = decode_base64(std::string_view(changed).substr(at, 4));
          const bool ends_too_early = four && four->size() < 3 && at + 4 < changed.size();
          expected = four && !ends_too_early ? std::optional(*expected + *four) : std::nullopt;
        }
        REQUIRE(decode_base64(changed) == expected);
      }
    }
  }

  TEST_CASE("blocks end before what is wrong, and stay inside of the bytes' room") {
    std::string text = encoded(random_bytes(3000));
    std::string bytes(3000 + 16, '#');
    const std::size_t all = decode_base64_blocks(text, {bytes.data(), 3000});
    CHECK(all % 4 == 0);
    CHECK(bytes.substr(3000) == std::string(16, '#'));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
      CHECK(all > 3900);
    }
#endif
    text[2000] = '\n';
    CHECK(decode_base64_blocks(text, {bytes.data(), 3000}) <= 2000);
  }
}

}  // namespace
