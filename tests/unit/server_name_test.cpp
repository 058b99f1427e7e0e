#include "mqtt/server_name.hpp"

#include <doctest/doctest.h>
#include <netdb.h>

#include <cstring>

#include "m2b/util/handle.hpp"
#include "tls/openssl.hpp"

namespace {

using m2b::paho::ServerName;

TEST_SUITE("server_name") {
  /// Whether the name leads to 127.0.0.1, as Paho looks names up.
  bool is_loopback(const char* name) {
    addrinfo hints{};
    hints.ai_family = AF_INET;
    addrinfo* found = nullptr;
    if (::getaddrinfo(name, nullptr, &hints, &found) != 0) {
      return false;
    }
    const m2b::Handle<addrinfo, &::freeaddrinfo> owner(found);
    const unsigned char expected[] = {127, 0, 0, 1};
    return std::memcmp(found->ai_addr->sa_data + 2, expected, sizeof expected) == 0;
  }

  TEST_CASE("a name leads to the host while it lives, and no other name does") {
    REQUIRE(ServerName::is_linked());
    CHECK_FALSE(is_loopback("broker.plant.invalid"));  // RFC 6761: never resolves
    {
      const ServerName name("broker.plant.invalid", "127.0.0.1");
      CHECK(is_loopback("broker.plant.invalid"));
      CHECK_FALSE(is_loopback("other.plant.invalid"));
      CHECK(is_loopback("127.0.0.1"));
    }
    CHECK_FALSE(is_loopback("broker.plant.invalid"));
  }
}

}  // namespace
