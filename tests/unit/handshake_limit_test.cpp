#include "m2b/tls/handshake_limit.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "support/certificates.hpp"
#include "tls/openssl.hpp"

namespace {

using namespace m2b;
using namespace std::string_literals;

TEST_SUITE("handshake_limit") {
  /// A client that reads what it is given, and then waits for more.
  struct Client {
    explicit Client(bool is_limited)
        : context(SSL_CTX_new(TLS_client_method())), session(SSL_new(context.get())) {
      SSL_set_msg_callback(session.get(), nullptr);  // the linker may have given it the limit
      if (is_limited) {
        limit_handshake(session.get());
      }
      BIO* const input = BIO_new(BIO_s_mem());
      BIO_set_mem_eof_return(input, -1);
      SSL_set_bio(session.get(), input, BIO_new(BIO_s_mem()));
      SSL_set_connect_state(session.get());
    }
    void hear(std::string_view bytes) const {
      BIO_write(SSL_get_rbio(session.get()), bytes.data(), static_cast<int>(bytes.size()));
    }
    [[nodiscard]] int go_on() const {
      return SSL_get_error(session.get(), SSL_do_handshake(session.get()));
    }
    openssl::Context context;
    openssl::Session session;
  };

  std::string repeated(std::string_view unit, std::size_t count) {
    std::string text;
    while (count-- > 0) {
      text += unit;
    }
    return text;
  }

  const std::string kHelloRequest = "\x16\x03\x03\0\4\0\0\0\0"s;
  constexpr std::size_t kMany = 100'000;

  TEST_CASE("requests to begin anew are not read without end") {
    std::string flood;
    SUBCASE("each in a record of its own") { flood = repeated(kHelloRequest, kMany); }
    SUBCASE("in large records") {
      flood = repeated("\x16\x03\x03\x40\0"s + repeated("\0\0\0\0"s, 4096), 50);
    }
    const Client client(true);
    client.hear(flood);
    CHECK(client.go_on() == SSL_ERROR_SSL);
    CHECK(is_beyond_handshake_limit(client.session.get()));
  }

  TEST_CASE("without the limit OpenSSL reads all of it in one call") {
    const Client client(false);
    client.hear(repeated(kHelloRequest, kMany));
    CHECK(client.go_on() == SSL_ERROR_WANT_READ);
    CHECK(BIO_pending(SSL_get_rbio(client.session.get())) == 0);
  }

  TEST_CASE("a handshake, and any amount of data, is far from it") {
    const test::Authority authority;
    const test::Identity identity = authority.issue();
    const openssl::Context server_context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(server_context.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(server_context.get(), identity.key.get());

    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CAPTURE(version);
      const openssl::Context client_context(SSL_CTX_new(TLS_client_method()));
      limit_handshake(client_context.get());
      SSL_CTX_set_max_proto_version(client_context.get(), version);
      const openssl::Session client(SSL_new(client_context.get()));
      SSL_set_connect_state(client.get());
      const openssl::Session peer(SSL_new(server_context.get()));
      SSL_set_accept_state(peer.get());
      BIO* one = nullptr;
      BIO* other = nullptr;
      REQUIRE(BIO_new_bio_pair(&one, 0, &other, 0) == 1);
      SSL_set_bio(client.get(), one, one);
      SSL_set_bio(peer.get(), other, other);
      for (int turn = 0; turn < 10; ++turn) {
        SSL_do_handshake(client.get());
        SSL_do_handshake(peer.get());
      }
      REQUIRE(SSL_is_init_finished(client.get()) == 1);
      const std::string data(1000, 'd');
      std::string read(data.size(), '\0');
      for (int i = 0; i < 10'000; ++i) {
        REQUIRE(SSL_write(peer.get(), data.data(), 1000) == 1000);
        REQUIRE(SSL_read(client.get(), read.data(), 1000) == 1000);
      }
      CHECK_FALSE(is_beyond_handshake_limit(client.get()));
    }
  }
}

}  // namespace
