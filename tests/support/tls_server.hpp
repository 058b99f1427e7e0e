#pragma once

#include <cstdint>
#include <thread>

#include "support/certificates.hpp"
#include "support/loopback.hpp"

namespace m2b::test {

/// What a TlsServer is to do.
struct TlsServerWish {
  const Authority* clients_of = nullptr;  // a client must have a certificate of it
  int max_version = 0;                    // of TLS; 0: the newest
};

/// Does the TLS handshake with whoever calls on a free loopback port, one after the other, and
/// hangs up when the client does.
class TlsServer {
 public:
  /// The identity is copied.
  explicit TlsServer(const Identity& identity, const TlsServerWish& wish = {});
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return listener_.port; }

 private:
  void serve();

  openssl::Context context_;
  LoopbackListener listener_;
  std::jthread thread_;
};

}  // namespace m2b::test
