#include "m2b/encryption/cipher.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "support/keys.hpp"

namespace {

TEST_SUITE("cipher") {
  using namespace m2b;
  using test::kAnotherKey;
  using test::key_ring;
  using test::kOneKey;

  const KeyRing kRing = key_ring(kOneKey);
  const EncryptionKey& kKey = *kRing.encrypting();

  std::string text_of(const std::string& decrypted) {
    return decrypted.substr(cipher::kSaltBytes, decrypted.size() - cipher::kOverheadBytes);
  }

  TEST_CASE("what is encrypted comes back, and nothing of it shows") {
    const std::string payload(100'000, 'p');
    std::string encrypted = cipher::encrypt(kKey, "bound", {"topic", "", payload});
    CHECK(encrypted.size() == payload.size() + 5 + cipher::kOverheadBytes);
    CHECK(encrypted.find("topic") == std::string::npos);
    CHECK(encrypted.find("ppp") == std::string::npos);
    CHECK(cipher::decrypt_beginning(kKey, encrypted.substr(0, 100), 8) == "topicppp");
    REQUIRE(cipher::decrypt(kKey, "bound", encrypted));
    CHECK(text_of(encrypted) == "topic" + payload);
    CHECK(encrypted.ends_with(std::string(cipher::kTagBytes, '\0')));
  }

  TEST_CASE("the bytes are those of docs/spool-format.md") {
    // Made by Python's `hmac` and the AESGCM of its package `cryptography`.
    std::string encrypted(
        "\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f\x70\x71\x72\x73"
        "\xaa\x50\xf0\x99\x6c\xee\x00\x3d\x4c\xb1"
        "\x06\xa0\x8c\x07\x5f\xdf\x83\x46\x23\x92\x18\xa1\x9e\xea\x4d\xb1",
        42);
    CHECK(cipher::decrypt_beginning(kKey, encrypted, 3) == "a/b");
    REQUIRE(cipher::decrypt(kKey, "bound", encrypted));
    CHECK(text_of(encrypted) == "a/bpayload");
  }

  TEST_CASE("every changed bit is noticed, and the bytes stay as they were") {
    const std::string good = cipher::encrypt(kKey, "bound", {"a/b", "payload"});
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      const std::string before = bad;
      CHECK_FALSE(cipher::decrypt(kKey, "bound", bad));
      CHECK(bad == before);
    }
  }

  TEST_CASE("neither another key nor other bound bytes, and nothing too short") {
    std::string encrypted = cipher::encrypt(kKey, "bound", {"text"});
    CHECK_FALSE(cipher::decrypt(*key_ring(kAnotherKey).encrypting(), "bound", encrypted));
    CHECK_FALSE(cipher::decrypt(kKey, "Bound", encrypted));
    std::string shorter = encrypted.substr(0, encrypted.size() - 1);
    CHECK_FALSE(cipher::decrypt(kKey, "bound", shorter));
    std::string shortest = encrypted.substr(0, cipher::kOverheadBytes - 1);
    CHECK_FALSE(cipher::decrypt(kKey, "bound", shortest));
    CHECK(cipher::decrypt_beginning(kKey, shortest.substr(0, 15), 4).empty());
    CHECK(cipher::decrypt(kKey, "bound", encrypted));
  }

  TEST_CASE("an empty text is a text") {
    std::string encrypted = cipher::encrypt(kKey, "", {});
    CHECK(encrypted.size() == cipher::kOverheadBytes);
    CHECK(cipher::decrypt(kKey, "", encrypted));
  }

  TEST_CASE("the same text is never encrypted the same way") {
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
      seen.insert(cipher::encrypt(kKey, "bound", {"text"}));
    }
    CHECK(seen.size() == 100);
  }
}

}  // namespace
