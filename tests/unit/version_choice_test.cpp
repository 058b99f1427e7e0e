#include "mqtt/version_choice.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;

TEST_SUITE("version_choice") {
  TEST_CASE("automatic begins with 5 and stays there while the broker is only away") {
    VersionChoice choice(MqttVersion::automatic);
    CHECK(choice.current() == MqttVersion::v5);
    choice.failed();
    CHECK(choice.current() == MqttVersion::v5);
  }

  TEST_CASE("a version that may be the cause is changed, to and fro") {
    VersionChoice choice(MqttVersion::automatic);
    choice.version_refused();
    CHECK(choice.current() == MqttVersion::v3_1_1);
    choice.hung_up();
    CHECK(choice.current() == MqttVersion::v5);
    choice.hung_up();
    CHECK(choice.current() == MqttVersion::v3_1_1);
  }

  TEST_CASE("3.1.1 is tried first once it was accepted where 5 was refused") {
    VersionChoice choice(MqttVersion::automatic);
    choice.version_refused();
    choice.connected();
    CHECK(choice.current() == MqttVersion::v3_1_1);
    choice.failed();
    CHECK(choice.current() == MqttVersion::v3_1_1);
    choice.connected();
    CHECK(choice.current() == MqttVersion::v3_1_1);
  }

  TEST_CASE("a mere hang-up pins nothing: the next connection tries 5 first again") {
    VersionChoice choice(MqttVersion::automatic);
    choice.hung_up();
    CHECK(choice.current() == MqttVersion::v3_1_1);
    choice.connected();
    CHECK(choice.current() == MqttVersion::v5);
  }

  TEST_CASE("an old refusal does not make a hang-up a proof") {
    VersionChoice choice(MqttVersion::automatic);
    choice.version_refused();
    choice.failed();
    CHECK(choice.current() == MqttVersion::v5);
    choice.hung_up();
    choice.connected();
    CHECK(choice.current() == MqttVersion::v5);
  }

  TEST_CASE("a broker that learnt 5 is spoken to in 5 from then on") {
    VersionChoice choice(MqttVersion::automatic);
    choice.version_refused();
    choice.connected();
    choice.hung_up();
    CHECK(choice.current() == MqttVersion::v5);
    choice.connected();
    choice.failed();
    CHECK(choice.current() == MqttVersion::v5);
  }

  TEST_CASE("a fixed version stays") {
    for (const MqttVersion version : {MqttVersion::v3_1_1, MqttVersion::v5}) {
      VersionChoice choice(version);
      choice.version_refused();
      CHECK(choice.current() == version);
      choice.hung_up();
      CHECK(choice.current() == version);
      choice.connected();
      CHECK(choice.current() == version);
    }
  }
}

}  // namespace
