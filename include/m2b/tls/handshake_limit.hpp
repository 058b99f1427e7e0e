#pragma once

struct ssl_st;
struct ssl_ctx_st;

namespace m2b {

/// Bounds what a peer may send of TLS's own on one connection: handshake messages, alerts and the
/// records that hold them. OpenSSL works on them for as long as they come, within one call, so that
/// no timeout of the caller takes effect; a peer needs no certificate for that, since a client
/// skips each HelloRequest in a handshake (RFC 5246, section 7.4.1.1). Beyond the limit the
/// connection is at its end for us.
///
/// Takes the place of the message callback. Sessions made of the context have the limit.
void limit_handshake(ssl_ctx_st* context) noexcept;
void limit_handshake(ssl_st* session) noexcept;

[[nodiscard]] bool is_beyond_handshake_limit(const ssl_st* session) noexcept;

}  // namespace m2b
