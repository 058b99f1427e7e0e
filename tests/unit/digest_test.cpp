#include "upload/digest.hpp"

#include <doctest/doctest.h>

#include <array>
#include <span>
#include <string_view>

namespace {

using namespace std::string_view_literals;

TEST_SUITE("digest") {
  TEST_CASE("SHA-256 of pieces is that of the whole") {
    const std::array pieces{""sv, "a"sv, ""sv, "bc"sv};
    CHECK(m2b::hex(m2b::sha256(pieces)) == m2b::sha256_hex("abc"));
    CHECK(m2b::hex(m2b::sha256(std::span<const std::string_view>())) == m2b::sha256_hex(""));
  }

  TEST_CASE("MD5 matches the examples of RFC 1321") {
    CHECK(m2b::md5_hex("") == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(m2b::md5_hex("abc") == "900150983cd24fb0d6963f7d28e17f72");
  }

  TEST_CASE("base64 matches the examples of RFC 4648") {
    CHECK(m2b::base64("").empty());
    CHECK(m2b::base64("f") == "Zg==");
    CHECK(m2b::base64("fo") == "Zm8=");
    CHECK(m2b::base64("foo") == "Zm9v");
    CHECK(m2b::base64("foobar") == "Zm9vYmFy");
  }

  TEST_CASE("hexadecimal is lower case, two digits a byte") {
    CHECK(m2b::hex("\x00\x0f\xA5"sv) == "000fa5");
  }
}

}  // namespace
