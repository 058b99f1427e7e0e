#include "tls/openssl.hpp"

#include <openssl/err.h>

namespace m2b::openssl {

std::string take_error() {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  if (first == 0) {
    return "no reason given";
  }
  const char* const reason = ERR_reason_error_string(first);
  return reason != nullptr ? reason : "error " + std::to_string(first);
}

}  // namespace m2b::openssl
