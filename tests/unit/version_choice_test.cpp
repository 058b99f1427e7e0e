#include "mqtt/version_choice.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;

TEST_SUITE("version_choice") {
  TEST_CASE("automatic begins with 5 and stays there while the broker is only away") {
    VersionChoice choice(MqttVersion::automatic);
    CHECK(choice.current() == MqttVersion::v5);
    choice.failed(false);
    CHECK(choice.current() == MqttVersion::v5);
  }

  TEST_CASE("a version that may be the cause is changed, to and fro") {
    VersionChoice choice(MqttVersion::automatic);
    choice.failed(true);
    CHECK(choice.current() == MqttVersion::v3_1_1);
    choice.failed(true);
    CHECK(choice.current() == MqttVersion::v5);
  }

  TEST_CASE("the version that worked is tried again") {
    VersionChoice choice(MqttVersion::automatic);
    choice.failed(true);
    choice.connected();
    choice.failed(false);
    CHECK(choice.current() == MqttVersion::v3_1_1);
    choice.failed(true);
    CHECK(choice.current() == MqttVersion::v5);
    choice.failed(false);
    CHECK(choice.current() == MqttVersion::v3_1_1);
  }

  TEST_CASE("a fixed version stays") {
    for (const MqttVersion version : {MqttVersion::v3_1_1, MqttVersion::v5}) {
      VersionChoice choice(version);
      choice.failed(true);
      CHECK(choice.current() == version);
    }
  }
}

}  // namespace
