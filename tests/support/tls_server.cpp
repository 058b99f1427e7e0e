#include "support/tls_server.hpp"

#include <sys/socket.h>

#include <stdexcept>

#include "m2b/util/fd.hpp"

namespace m2b::test {

TlsServer::TlsServer(const Identity& identity, const TlsServerWish& wish)
    : context_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX* const context = context_.get();
  bool good = SSL_CTX_use_certificate(context, identity.certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1 &&
              SSL_CTX_set_max_proto_version(context, wish.max_version) == 1;
  if (wish.clients_of != nullptr) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    good = good && X509_STORE_add_cert(store, wish.clients_of->certificate()) == 1;
  }
  if (!good) {
    throw std::runtime_error("the test's TLS server cannot be made: " + openssl::take_error());
  }
  thread_ = std::jthread([this] { serve(); });
}

TlsServer::~TlsServer() { ::shutdown(listener_.socket.get(), SHUT_RDWR); }

void TlsServer::serve() {
  while (true) {
    const Fd client(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) {
      return;
    }
    const openssl::Session session(SSL_new(context_.get()));
    SSL_set_fd(session.get(), client.get());
    char byte = 0;
    if (SSL_accept(session.get()) == 1) {
      static_cast<void>(SSL_read(session.get(), &byte, 1));  // until it hangs up
    }
    static_cast<void>(openssl::take_error());
  }
}

}  // namespace m2b::test
