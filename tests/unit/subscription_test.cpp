#include "mqtt/subscription.hpp"

#include <doctest/doctest.h>

namespace {

using namespace m2b;

TEST_SUITE("subscription") {
  const Subscription sample{"id", "broker:1883", 1, {"a/#", "$share/g/b c"}};

  TEST_CASE("a subscription comes back as it was written") {
    CHECK(decode_subscription(encode(sample)) == sample);
  }

  TEST_CASE("other texts are no subscription") {
    CHECK_FALSE(decode_subscription(""));
    CHECK_FALSE(decode_subscription("id\nbroker:1883\n1"));
    CHECK_FALSE(decode_subscription("id\nbroker:1883\nx\na/#"));
  }

  TEST_CASE("the session is that of client id and broker") {
    Subscription other = sample;
    other.filters = {"z"};
    other.qos = 0;
    CHECK(sample.same_session(other));
    other.client_id = "other";
    CHECK_FALSE(sample.same_session(other));
  }

  TEST_CASE("filters that are gone are no longer wanted") {
    Subscription now = sample;
    now.filters = {"a/#", "new"};
    CHECK(no_longer_wanted(sample, now) == std::vector<std::string>{"$share/g/b c"});
    CHECK(no_longer_wanted(now, now).empty());
  }

  TEST_CASE("QoS 2 is subscribed only where Paho acknowledges it late enough") {
    CHECK(subscribe_qos(2, MqttVersion::v5) == 2);
    CHECK(subscribe_qos(2, MqttVersion::v3_1_1) == 1);
    CHECK(subscribe_qos(1, MqttVersion::v3_1_1) == 1);
    CHECK(subscribe_qos(0, MqttVersion::v3_1_1) == 0);
  }
}

}  // namespace
