#include "m2b/mqtt/connack_properties.hpp"

#include <MQTTAsync.h>
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

#include "mqtt/read_properties.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;

/// As Paho hands them over.
class Properties {
 public:
  Properties() = default;
  Properties(const Properties&) = delete;
  Properties& operator=(const Properties&) = delete;
  ~Properties() { MQTTProperties_free(&list_); }

  void add(MQTTPropertyCodes code, unsigned number) {
    MQTTProperty property{};
    property.identifier = code;
    switch (MQTTProperty_getType(code)) {
      case MQTTPROPERTY_TYPE_BYTE:
        property.value.byte = static_cast<unsigned char>(number);
        break;
      case MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER:
        property.value.integer2 = static_cast<unsigned short>(number);
        break;
      default:
        property.value.integer4 = number;
        break;
    }
    REQUIRE(MQTTProperties_add(&list_, &property) == 0);
  }
  void add(MQTTPropertyCodes code, std::string text) {
    MQTTProperty property{};
    property.identifier = code;
    property.value.data = {static_cast<int>(text.size()), text.data()};
    REQUIRE(MQTTProperties_add(&list_, &property) == 0);
  }
  [[nodiscard]] const MQTTProperties& list() const { return list_; }

 private:
  MQTTProperties list_ = MQTTProperties_initializer;
};

TEST_SUITE("connack_properties") {
  TEST_CASE("absent properties have the standard's defaults") {
    const ConnackProperties none = paho::read_connack(Properties().list());
    CHECK(none == ConnackProperties());
    CHECK_FALSE(none.session_expiry);
    CHECK_FALSE(none.server_keep_alive);
    CHECK(none.receive_maximum == 65'535);
    CHECK(none.maximum_qos == 2);
    CHECK(none.maximum_packet_size == ConnackProperties::kNoLimit);
    CHECK(none.topic_alias_maximum == 0);
    CHECK(none.retain_available);
    CHECK(none.wildcard_subscriptions);
    CHECK(none.subscription_identifiers);
    CHECK(none.shared_subscriptions);
    CHECK(none.statement.empty());
  }

  TEST_CASE("texts are read") {
    Properties properties;
    properties.add(MQTTPROPERTY_CODE_ASSIGNED_CLIENT_IDENTIFER, std::string("auto-1"));
    properties.add(MQTTPROPERTY_CODE_REASON_STRING, std::string("welcome"));
    properties.add(MQTTPROPERTY_CODE_SERVER_REFERENCE, std::string("other:1883"));
    const ConnackProperties read = paho::read_connack(properties.list());
    CHECK(read.assigned_client_id == "auto-1");
    CHECK(read.statement == BrokerStatement{"welcome", "other:1883"});
    CHECK(read.statement == paho::read_statement(properties.list()));
    CHECK(read.statement.behind("banned") ==
          "banned; the broker says: welcome; the broker names another server: other:1883");
  }

  TEST_CASE("the largest numbers are no negative ones") {
    Properties properties;
    properties.add(MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, 0xFFFFFFFFU);
    properties.add(MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE, 0xFFFFU);
    const ConnackProperties read = paho::read_connack(properties.list());
    CHECK(read.session_expiry == ConnackProperties::kNever);
    CHECK(read.server_keep_alive == 65'535s);
  }

  TEST_CASE("the shorter keep-alive is in effect, and 0 is none") {
    const auto in_effect = [](std::optional<std::chrono::seconds> server) {
      return ConnackProperties{.server_keep_alive = server}.keep_alive(60s);
    };
    CHECK(in_effect(std::nullopt) == 60s);
    CHECK(in_effect(10s) == 10s);
    CHECK(in_effect(300s) == 60s);
    CHECK(in_effect(0s) == 60s);
  }

  TEST_CASE("filters that the broker takes no SUBSCRIBE for") {
    for (const char* const filter : {"a/b", "a/+/c", "a/#", "$share/g/a/b"}) {
      CHECK_FALSE(ConnackProperties().refusal_of(filter));
    }
    const ConnackProperties plain{.wildcard_subscriptions = false};
    CHECK_FALSE(plain.refusal_of("a/b"));
    CHECK_FALSE(plain.refusal_of("$share/g/a/b"));
    CHECK(plain.refusal_of("a/+/c") == 0xA2);
    CHECK(plain.refusal_of("a/#") == 0xA2);
    const ConnackProperties unshared{.shared_subscriptions = false};
    CHECK_FALSE(unshared.refusal_of("a/#"));
    CHECK(unshared.refusal_of("$share/g/a/#") == 0x9E);
    const ConnackProperties small{.maximum_packet_size = 30};
    CHECK_FALSE(small.refusal_of(std::string(20, 'a')));
    CHECK(small.refusal_of(std::string(21, 'a')) == 0x95);
  }

  TEST_CASE("a broker's text is bounded and cannot command a terminal") {
    CHECK(quote_broker("quota of 5 clients") == "quota of 5 clients");
    CHECK(quote_broker("\x1B[31mred") == "\\x1b[31mred");
    CHECK(quote_broker(std::string(256, 'a')) == std::string(256, 'a'));
    CHECK(quote_broker(std::string(257, 'a')) == std::string(256, 'a') + "...");
    // Cut in front of a character of two bytes that would be cut in two.
    CHECK(quote_broker(std::string(255, 'a') + "\xC3\xA4" + "b") == std::string(255, 'a') + "...");
    CHECK(quote_broker(std::string(70'000, '\x80')).size() < 1100);
  }
}

}  // namespace
