#include "upload/digest.hpp"

#include <array>
#include <cstdint>
#include <stdexcept>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "m2b/util/handle.hpp"

namespace m2b {
namespace {

using DigestContext = Handle<EVP_MD_CTX, &EVP_MD_CTX_free>;

}  // namespace

std::string hex(std::string_view data) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(2 * data.size());
  for (const char character : data) {
    const auto byte = static_cast<std::uint8_t>(character);
    text += kHex[byte >> 4U];
    text += kHex[byte & 0xFU];
  }
  return text;
}

std::string sha256_hex(std::string_view data) { return hex(sha256(std::span(&data, 1))); }

std::string sha256(std::span<const std::string_view> pieces) {
  const DigestContext context(EVP_MD_CTX_new());
  if (!context) throw_openssl_error("EVP_MD_CTX_new");
  if (EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
    throw_openssl_error("EVP_DigestInit_ex");
  }
  for (const std::string_view piece : pieces) {
    if (EVP_DigestUpdate(context.get(), piece.data(), piece.size()) != 1) {
      throw_openssl_error("EVP_DigestUpdate");
    }
  }
  constexpr std::size_t kSha256Bytes = 32;
  std::string digest(kSha256Bytes, '\0');
  if (EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) !=
      1) {
    throw_openssl_error("EVP_DigestFinal_ex");
  }
  return digest;
}

std::string base64(std::string_view data) {
  // EVP_EncodeBlock() ends its text with a NUL, for which a string has room.
  std::string text((data.size() + 2) / 3 * 4, '\0');
  static_cast<void>(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                    reinterpret_cast<const unsigned char*>(data.data()),
                                    static_cast<int>(data.size())));
  return text;
}

std::optional<std::string> md5_hex(std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  std::size_t length = 0;
  if (EVP_Q_digest(nullptr, "MD5", nullptr, data.data(), data.size(), digest.data(), &length) !=
      1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return hex({reinterpret_cast<const char*>(digest.data()), length});
}

void throw_openssl_error(std::string_view function) {
  throw std::runtime_error(
      fmt::format("{} failed: {}", function, ERR_error_string(ERR_get_error(), nullptr)));
}

}  // namespace m2b
