#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace m2b {

/// Two lower-case digits a byte.
[[nodiscard]] std::string hex(std::string_view data);

/// The 32 bytes, of the pieces as if they were one text. Throws what OpenSSL reports, should it
/// fail.
[[nodiscard]] std::string sha256(std::span<const std::string_view> pieces);

/// In hexadecimal; as sha256().
[[nodiscard]] std::string sha256_hex(std::string_view data);

/// With padding (RFC 4648, section 4).
[[nodiscard]] std::string base64(std::string_view data);

/// In hexadecimal, as S3 gives it as the ETag of a plain object. Nothing where OpenSSL may not
/// compute MD5 (FIPS mode).
[[nodiscard]] std::optional<std::string> md5_hex(std::string_view data);

/// std::runtime_error with what OpenSSL noted last.
[[noreturn]] void throw_openssl_error(std::string_view function);

}  // namespace m2b
