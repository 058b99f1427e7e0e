#pragma once

#include <string>
#include <string_view>

#include <openssl/x509.h>

#include "m2b/tls/options.hpp"

namespace m2b {

/// Why a certificate is not believed, in words for the one who has to mend it. `code` is OpenSSL's
/// X509_V_ERR_…, `certificate` the one that it is about (null: not known), `wanted_name` what the
/// peer was to be called.
[[nodiscard]] std::string describe_verify_fault(long code, const X509* certificate,
                                                std::string_view wanted_name,
                                                const TlsOptions& options);

}  // namespace m2b
