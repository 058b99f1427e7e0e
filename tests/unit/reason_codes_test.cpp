#include "mqtt/reason_codes.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;

TEST_SUITE("reason_codes") {
  TEST_CASE("the codes of MQTT 3.1.1 have their meaning") {
    CHECK(describe_reason_code(0) == "success");
    CHECK(describe_reason_code(1) == "incorrect protocol version");
    CHECK(describe_reason_code(2) == "invalid client identifier");
    CHECK(describe_reason_code(3) == "server unavailable");
    CHECK(describe_reason_code(4) == "bad username or password");
    CHECK(describe_reason_code(5) == "not authorised");
    for (int code = 6; code < 0x80; ++code) {
      CHECK(describe_reason_code(code) == "unused code");
    }
  }

  TEST_CASE("the codes of MQTT 5 have theirs") {
    CHECK(describe_reason_code(0x86) == "bad username or password");
    CHECK(describe_reason_code(0x87) == "not authorised");
    CHECK(describe_reason_code(0x8E) == "session taken over: another client uses our client id");
    for (int code = 0x80; code <= 0xA2; ++code) {
      CHECK(describe_reason_code(code) != "unused code");
    }
    CHECK(describe_reason_code(0xFF) == "unused code");
    CHECK(describe_reason_code(-1) == "no answer from the broker");
  }

  TEST_CASE("credentials need a person, a broker that is away does not") {
    CHECK(needs_a_person(4));
    CHECK(needs_a_person(5));
    CHECK(needs_a_person(0x87));
    CHECK_FALSE(needs_a_person(3));
    CHECK_FALSE(needs_a_person(0x88));
    CHECK_FALSE(needs_a_person(-1));
  }

  TEST_CASE("both ways to refuse the version are known") {
    CHECK(is_unsupported_version(1));
    CHECK(is_unsupported_version(0x84));
    CHECK_FALSE(is_unsupported_version(2));
  }
}

}  // namespace
