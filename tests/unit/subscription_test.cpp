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

  TEST_CASE("on MQTT 5 all filters are asked for at once, on 3.1.1 one after the other") {
    SubscribeRound at_once(sample.filters, MqttVersion::v5);
    CHECK(at_once.next() == sample.filters);
    at_once.answer({1, 0});
    CHECK(at_once.granted());
    CHECK(at_once.next().empty());

    SubscribeRound one_by_one(sample.filters, MqttVersion::v3_1_1);
    CHECK(one_by_one.next() == std::vector<std::string>{"a/#"});
    one_by_one.answer({1});
    CHECK_FALSE(one_by_one.complete());
    CHECK_FALSE(one_by_one.granted());
    CHECK(one_by_one.next() == std::vector<std::string>{"$share/g/b c"});
    one_by_one.answer({0});
    CHECK(one_by_one.granted());
    CHECK(one_by_one.next().empty());
    CHECK(one_by_one.codes() == std::vector<int>{1, 0});
  }

  TEST_CASE("one refused filter refuses the round, and the others are asked for all the same") {
    SubscribeRound round(sample.filters, MqttVersion::v3_1_1);
    round.answer({0x80});
    CHECK(round.next() == std::vector<std::string>{"$share/g/b c"});
    round.answer({1});
    CHECK(round.complete());
    CHECK_FALSE(round.granted());
    CHECK(round.codes() == std::vector<int>{0x80, 1});
  }

  TEST_CASE("an answer with the wrong number of codes or unknown ones is malformed") {
    for (const std::vector<int>& codes :
         {std::vector<int>{}, {1}, {1, 1, 1}, {3, 0x7F}, {-1, 0x100}, {0x1A2B3C4, -16}}) {
      SubscribeRound round(sample.filters, MqttVersion::v5);
      round.answer(codes);
      CHECK(round.complete());
      CHECK_FALSE(round.granted());
      CHECK(round.codes() == std::vector<int>{0x81, 0x81});
    }
  }
}

}  // namespace
