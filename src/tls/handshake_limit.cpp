#include "m2b/tls/handshake_limit.hpp"

#include <cstddef>
#include <cstdint>

#include <openssl/bio.h>
#include <openssl/ssl.h>

namespace m2b {
namespace {

/// A handshake takes some ten, each new key or session ticket later on two or three.
constexpr std::uintptr_t kMostMessages = 4096;

/// Of the count that each session has.
int count_index() noexcept {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::uintptr_t count_of(const SSL* session) noexcept {
  return reinterpret_cast<std::uintptr_t>(SSL_get_ex_data(session, count_index()));
}

/// Whether it is about TLS's own, and not about data. With TLS 1.3 a record says so only inside.
bool is_own(int type, const unsigned char* bytes, std::size_t size) noexcept {
  switch (type) {
    case SSL3_RT_HEADER:
    case SSL3_RT_INNER_CONTENT_TYPE:
      return size > 0 && bytes[0] != SSL3_RT_APPLICATION_DATA;
    default:
      return true;
  }
}

/// OpenSSL's message callback, for each record and for each message in it.
void on_message(int is_ours, int /*version*/, int type, const void* bytes, std::size_t size,
                SSL* session, void* /*argument*/) noexcept {
  if (is_ours != 0 || !is_own(type, static_cast<const unsigned char*>(bytes), size)) {
    return;
  }
  const std::uintptr_t count = count_of(session) + 1;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a number that needs no memory of its own
  SSL_set_ex_data(session, count_index(), reinterpret_cast<void*>(count));
  if (count == kMostMessages + 1) {
    // OpenSSL has no other way to be told: it finds the end of the connection when it reads on.
    SSL_set0_rbio(session, BIO_new(BIO_s_null()));
  }
}

}  // namespace

void limit_handshake(ssl_ctx_st* context) noexcept {
  SSL_CTX_set_msg_callback(context, &on_message);
}

void limit_handshake(ssl_st* session) noexcept { SSL_set_msg_callback(session, &on_message); }

bool is_beyond_handshake_limit(const ssl_st* session) noexcept {
  return count_of(session) > kMostMessages;
}

}  // namespace m2b
