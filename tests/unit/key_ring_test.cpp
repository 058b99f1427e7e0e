#include "m2b/encryption/key_ring.hpp"

#include <doctest/doctest.h>

#include <string>
#include <variant>

#include "support/keys.hpp"

namespace {

TEST_SUITE("key_ring") {
  using namespace m2b;
  using test::kAnotherKey;
  using test::key_ring;
  using test::kOneKey;

  std::string fault_of(const std::string& text) {
    const auto parsed = KeyRing::parse(text);
    REQUIRE(std::holds_alternative<std::string>(parsed));
    return std::get<std::string>(parsed);
  }
  bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  TEST_CASE("nothing given encrypts nothing") {
    const KeyRing none;
    CHECK_FALSE(none.is_given());
    CHECK(none.encrypting() == nullptr);
    CHECK(none.find(KeyId{}) == nullptr);
  }

  TEST_CASE("the first key encrypts, all are found by their id") {
    const KeyRing ring = key_ring("# old and new\n\n  " + kOneKey + "\r\n" + kAnotherKey + "\n");
    CHECK(ring.is_given());
    REQUIRE(ring.encrypting() != nullptr);
    // HMAC-SHA256 of "mqtt-to-blob key id" and 1 under the key, computed elsewhere.
    CHECK(to_string(ring.encrypting()->id()) == "9f1af927");
    CHECK(ring.encrypting()->bytes()[31] == '\x1f');
    const KeyId other = key_ring(kAnotherKey).encrypting()->id();
    REQUIRE(ring.find(other) != nullptr);
    CHECK(ring.find(other)->bytes() == std::string(32, '\x07'));
    CHECK(ring.find(KeyId{1}) == nullptr);
  }

  TEST_CASE("plain in the first line: the keys only decrypt") {
    const KeyRing ring = key_ring("plain\n" + kOneKey);
    CHECK(ring.is_given());
    CHECK(ring.encrypting() == nullptr);
    CHECK(ring.find(KeyId{0x9f1af927}) != nullptr);
    CHECK(key_ring("plain").is_given());
  }

  TEST_CASE("an id is read from what it is written as, and from nothing else") {
    CHECK(parse_key_id(to_string(KeyId{0x0000abcd})) == KeyId{0xabcd});
    for (const char* const bad : {"", "9f1af92", "9f1af9277", "9f1af92g", "0x1af927", " 9f1af92"}) {
      CHECK_FALSE(parse_key_id(bad));
    }
  }

  TEST_CASE("a key can be called lost, unless it is there") {
    const KeyRing ring = key_ring(kOneKey + "\nlost 1a2b3c4d\nlost 9f1af927");
    CHECK(ring.is_lost(KeyId{0x1a2b3c4d}));
    CHECK_FALSE(ring.is_lost(KeyId{0x9f1af927}));
    CHECK_FALSE(ring.is_lost(KeyId{1}));
  }

  TEST_CASE("what is no key is told by its line, and not shown") {
    for (const std::string& bad :
         {std::string("c2VjcmV0"), kOneKey.substr(1), kOneKey + "A", "*" + kOneKey.substr(1),
          "=" + kOneKey.substr(1), kOneKey.substr(0, 42) + "9=", kOneKey.substr(0, 42) + "==",
          kOneKey + " " + kAnotherKey, std::string("plain"), std::string("lost"),
          std::string("lost 1a2b3c4"), std::string("lost 1a2b3c4g")}) {
      CAPTURE(bad);
      const std::string fault = fault_of(kAnotherKey + "\n" + bad);
      CHECK(contains(fault, "line 2 is none"));
      CHECK_FALSE(contains(fault, bad.substr(0, 10) + "="));
      CHECK((bad == "plain" || bad == "lost" || !contains(fault, bad)));
    }
    CHECK(contains(fault_of("# none\n"), "there is none"));
    CHECK(contains(fault_of("lost 1a2b3c4d"), "line 1 is none"));
    CHECK(contains(fault_of(kOneKey + "\n" + kOneKey), "line 2 has one a second time"));
  }
}

}  // namespace
