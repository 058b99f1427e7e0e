#pragma once

#include <string>

struct ssl_st;  // OpenSSL's SSL

namespace m2b {

/// The handshake of this client session fails unless the peer's certificate is verified and names
/// `name`, a DNS name or an IP address without brackets; a DNS name is sent as SNI too. False when
/// OpenSSL refuses, with its reason in its own queue of errors.
[[nodiscard]] bool require_peer_name(ssl_st* session, const std::string& name);

}  // namespace m2b
