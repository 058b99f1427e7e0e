#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace m2b {

/// Two lower-case digits a byte.
[[nodiscard]] std::string hex(std::string_view data);

/// In hexadecimal. Throws what OpenSSL reports, should it fail.
[[nodiscard]] std::string sha256_hex(std::string_view data);
/// Of the pieces as if they were one text.
[[nodiscard]] std::string sha256_hex(std::span<const std::string_view> pieces);

/// In hexadecimal, as S3 gives it as the ETag of a plain object. Nothing where OpenSSL may not
/// compute MD5 (FIPS mode).
[[nodiscard]] std::optional<std::string> md5_hex(std::string_view data);

/// std::runtime_error with what OpenSSL noted last.
[[noreturn]] void throw_openssl_error(std::string_view function);

}  // namespace m2b
