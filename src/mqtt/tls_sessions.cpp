// Paho bounds nothing that comes of TLS itself, and works on it under its global lock.

#ifdef M2B_LATE_ACK  // with Paho's static library, whose calls the linker can redirect

#include "m2b/tls/handshake_limit.hpp"

// The linker's --wrap: who is linked statically calls the first, and the second is OpenSSL's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
ssl_st* __wrap_SSL_new(ssl_ctx_st* context);
ssl_st* __real_SSL_new(ssl_ctx_st* context);
}

ssl_st* __wrap_SSL_new(ssl_ctx_st* context) {
  ssl_st* const session = __real_SSL_new(context);
  if (session != nullptr) {
    m2b::limit_handshake(session);
  }
  return session;
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#endif
