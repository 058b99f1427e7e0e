#include "m2b/mqtt/receiver.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "support/eventually.hpp"
#include "support/reader_hog.hpp"
#include "support/scripted_broker.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using namespace std::string_view_literals;
using test::eventually;
using test::ScriptedBroker;
using Type = ScriptedBroker::Type;

TEST_SUITE("receiver") {
  struct Fixture {
    test::TempDir dir;
    SpoolOptions spool_options{
        .directory = dir.path() / "spool", .max_bytes = 0, .min_free_bytes = 0};
    ScriptedBroker broker;
    MqttOptions options;
    std::optional<Spool> spool;
    std::optional<Receiver> receiver;

    Fixture() {
      options.host = "127.0.0.1";
      options.port = broker.port();
      options.filters = {"ia/#"};
      options.backoff = {.base = 1ms, .cap = 20ms};
    }
    ~Fixture() { stop(); }

    void start() {
      spool.emplace(spool_options);
      start_receiver();
    }
    void start_receiver() {
      receiver.emplace(options, *spool);
      receiver->start();
    }
    void stop() {
      if (receiver) {
        CHECK(receiver->stop(5s));
        receiver.reset();
        spool.reset();
      }
    }
    /// Runs the test once with each form of acknowledging.
    void in_both_forms() {
      SUBCASE("group commit") { options.group_commit = true; }
      SUBCASE("one commit a message") { options.group_commit = false; }
    }
    std::string payload(std::uint64_t id) const {
      const ReadResult result = spool->read(SpoolId{id});
      const auto* const record = std::get_if<Record>(&result);
      return record != nullptr ? std::string(record->message().payload) : "none";
    }
    bool noted() const {
      return eventually([&] {
        return std::holds_alternative<std::string>(spool->read_note("mqtt.subscription"));
      });
    }
    /// The broker grants everything and drops us.
    void be_granted_once(std::size_t filters = 1) {
      start();
      broker.accept_session(false);
      broker.grant_subscription(filters);
      CHECK(noted());
      broker.close();
    }
    /// A whole life: granted, subscribed, stopped. Returns its CONNECT.
    ScriptedBroker::Packet live_once() {
      start();
      auto connect = broker.accept_session(false);
      broker.grant_subscription();
      CHECK(subscribed());
      CHECK(noted());
      stop();
      CHECK(broker.expect(Type::disconnect).type == Type::disconnect);
      return connect;
    }
    /// Of the filter in that place.
    FilterStatus filter(std::size_t place = 0) const {
      return receiver->stats().filters().at(place);
    }
    bool filter_is(FilterStatus::State state, std::size_t place = 0) const {
      return eventually([&] {
        const auto filters = receiver->stats().filters();
        return filters.size() > place && filters[place].state == state;
      });
    }
    bool subscribed() const {
      return eventually([&] { return receiver->stats().subscribed.load(); });
    }
  };

  TEST_CASE_FIXTURE(Fixture, "it keeps its session and subscribes where there is none") {
    start();
    const auto connect = broker.accept_session(false);
    CHECK(connect.protocol_level() == 5);
    const auto flags = static_cast<unsigned char>(connect.body.at(7));
    CHECK((flags & 0x02U) == 0);  // clean start
    CHECK((flags & 0x80U) != 0);  // username
    CHECK(connect.body.find("MQTT_TO_BLOB") != std::string::npos);
    const auto subscribe = broker.grant_subscription();
    CHECK(subscribe.body.find("ia/#") != std::string::npos);
    CHECK((subscribe.body.back() & 0x03) == 1);
    CHECK(subscribed());
  }

  TEST_CASE_FIXTURE(Fixture, "a maximum packet size is told when it is asked for") {
    // MQTT 5, section 3.1.2.11.4.
    const std::string property("\x27\x00\x10\x00\x00", 5);
    CHECK(live_once().body.find(property) == std::string::npos);
    options.max_packet_size = 1 << 20;
    CHECK(live_once().body.find(property) != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "a message is acknowledged once it is in the spool") {
    in_both_forms();
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    broker.publish(11, "ia/x", "picture", 1);
    CHECK(broker.expect(Type::puback).packet_id() == 11);
    CHECK(payload(1) == "picture");
    CHECK(receiver->stats().received[1] == 1);
    CHECK(eventually([&] { return receiver->stats().acknowledged == 1; }));
  }

  TEST_CASE_FIXTURE(Fixture, "no acknowledgement leaves while the message is not on disk") {
    in_both_forms();
    spool_options.max_bytes = 1 << 20;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    const std::string picture(600'000, 'p');
    broker.publish(1, "ia/x", picture, 1);
    CHECK(broker.expect(Type::puback).packet_id() == 1);

    broker.publish(2, "ia/x", picture, 1);
    CHECK(eventually([&] { return spool->intake() == Intake::at_cap; }));
    CHECK(broker.is_quiet());

    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(broker.expect(Type::puback).packet_id() == 2);
    CHECK(payload(2) == picture);
  }

  TEST_CASE_FIXTURE(Fixture, "QoS 2 on MQTT 5 gets its PUBREC once it is in the spool") {
    in_both_forms();
    options.qos = 2;
    start();
    broker.accept_session(false);
    CHECK((broker.grant_subscription(1, 2).body.back() & 0x03) == 2);
    broker.publish(5, "ia/x", "picture", 2);
    CHECK(broker.expect(Type::pubrec).packet_id() == 5);
    CHECK(payload(1) == "picture");
  }

  TEST_CASE_FIXTURE(Fixture, "QoS 0 is a message as well") {
    in_both_forms();
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    broker.publish(0, "ia/x", "picture", 0);
    CHECK(eventually([&] { return spool->totals().received == 1; }));
    CHECK(payload(1) == "picture");
    CHECK(receiver->stats().acknowledged == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a message without payload is counted, acknowledged and ignored") {
    in_both_forms();
    options.version = MqttVersion::v5;
    options.qos = 2;
    start();
    broker.accept_session(false);
    broker.grant_subscription(1, 2);
    broker.publish(0, "ia/x", "", 0);
    broker.publish(7, "ia/x", "", 1);
    CHECK(broker.expect(Type::puback).packet_id() == 7);
    broker.publish(8, "ia/x", "", 2);
    CHECK(broker.expect(Type::pubrec).packet_id() == 8);
    broker.publish(9, "ia/x", "picture", 1);
    CHECK(broker.expect(Type::puback).packet_id() == 9);
    CHECK(payload(1) == "picture");
    CHECK(spool->totals().received == 1);
    CHECK(receiver->stats().empty == 3);
    CHECK(receiver->stats().received[1] == 2);
    CHECK(eventually([&] { return receiver->stats().acknowledged == 3; }));
  }

  TEST_CASE_FIXTURE(Fixture,
                    "one without payload is not acknowledged before those in front of it") {
    spool_options.max_bytes = 1 << 20;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    const std::string picture(600'000, 'p');
    broker.publish(1, "ia/x", picture, 1);
    CHECK(broker.expect(Type::puback).packet_id() == 1);
    broker.publish(2, "ia/x", picture, 1);
    broker.publish(3, "ia/x", "", 1);
    CHECK(eventually([&] { return receiver->stats().empty == 1; }));
    CHECK(broker.is_quiet());
    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(broker.expect(Type::puback).packet_id() == 2);
    CHECK(broker.expect(Type::puback).packet_id() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "it falls back to 3.1.1 where the version is refused") {
    options.qos = 2;
    start();
    broker.accept();
    CHECK(broker.expect(Type::connect).protocol_level() == 5);
    broker.send(std::string_view("\x20\x02\x00\x01", 4));
    CHECK(broker.accept_session(false).protocol_level() == 4);
    // Paho answers QoS 2 on 3.1.1 before we have the message.
    CHECK((broker.grant_subscription().body.back() & 0x03) == 1);
    CHECK(subscribed());
  }

  TEST_CASE_FIXTURE(Fixture,
                    "it falls back to 3.1.1 where the broker hangs up instead of answering") {
    start();
    broker.accept();
    CHECK(broker.expect(Type::connect).protocol_level() == 5);
    broker.close();
    CHECK(broker.accept_session(false).protocol_level() == 4);
  }

  TEST_CASE_FIXTURE(Fixture, "a mere hang-up does not pin 3.1.1 for the next connections") {
    start();
    broker.accept();
    CHECK(broker.expect(Type::connect).protocol_level() == 5);
    broker.close();
    CHECK(broker.accept_session(false).protocol_level() == 4);
    broker.grant_subscription();
    CHECK(subscribed());
    broker.close();
    CHECK(broker.accept_session(true).protocol_level() == 5);
  }

  TEST_CASE_FIXTURE(Fixture, "a fixed version is never changed") {
    options.version = MqttVersion::v5;
    start();
    for (int attempt = 0; attempt < 3; ++attempt) {
      broker.accept();
      CHECK(broker.expect(Type::connect).protocol_level() == 5);
      broker.send(std::string_view("\x20\x02\x00\x01", 4));
    }
    CHECK(eventually([&] { return receiver->stats().connect_failures >= 3; }));
  }

  TEST_CASE_FIXTURE(Fixture, "refused logins are counted and tried again") {
    start();
    broker.accept();
    CHECK(broker.expect(Type::connect).protocol_level() == 5);
    broker.send(std::string_view("\x20\x03\x00\x86\x00", 5));  // bad username or password
    CHECK(broker.accept_session(false).protocol_level() == 5);
    const auto trouble = receiver->stats().trouble();
    REQUIRE(trouble);
    CHECK(trouble->kind == BrokerTrouble::Kind::refused);
    CHECK(trouble->meaning == "bad username or password");
    CHECK(trouble->needs_a_person);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK_FALSE(receiver->stats().trouble());
    CHECK(receiver->stats().connect_failures == 1);
    CHECK(receiver->stats().connects == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "trouble lasts from the first failure after all was well") {
    be_granted_once();
    broker.close();
    broker.accept();
    CHECK(broker.expect(Type::connect).protocol_level() == 5);
    const auto lost = receiver->stats().trouble();
    REQUIRE(lost);
    CHECK(lost->kind == BrokerTrouble::Kind::lost);
    broker.close();
    broker.accept();
    CHECK(broker.expect(Type::connect).protocol_level() >= 4);
    const auto hung_up = receiver->stats().trouble();
    REQUIRE(hung_up);
    CHECK(hung_up->kind == BrokerTrouble::Kind::no_answer);
    CHECK(hung_up->meaning == "connection closed before an answer");
    CHECK(hung_up->since == lost->since);
  }

  TEST_CASE_FIXTURE(Fixture, "a refused subscription is asked for again on the same connection") {
    start();
    broker.accept_session(false);
    broker.answer_subscription("\x87");  // not authorised
    CHECK(filter_is(FilterStatus::State::refused));
    CHECK_FALSE(receiver->stats().subscribed);
    CHECK(filter().code == 0x87);
    CHECK(filter().meaning() == "not authorised");
    REQUIRE(receiver->stats().trouble());
    CHECK(receiver->stats().trouble()->meaning == "ia/#: not authorised");
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 1);
    CHECK(receiver->stats().subscribes_refused == 1);
    CHECK_FALSE(receiver->stats().trouble());
  }

  TEST_CASE_FIXTURE(Fixture, "a refused filter does not keep messages of the others away") {
    options.version = MqttVersion::v3_1_1;
    SUBCASE("3.1.1") {}
    SUBCASE("5") { options.version = MqttVersion::v5; }
    options.filters = {"one/#", "two/+"};
    options.backoff = {.base = 50ms, .cap = 50ms};
    start();
    broker.accept_session(false);
    broker.answer_subscription("\x80");
    CHECK(broker.grant_subscription().body.find("two/+") != std::string::npos);
    CHECK(filter_is(FilterStatus::State::granted, 1));
    CHECK(filter(0).state == FilterStatus::State::refused);
    broker.publish(1, "two/x", "picture", 1);
    auto packet = broker.read();
    while (packet.type == Type::subscribe) {  // the refused one, again
      CHECK(packet.body.find("one/#") != std::string::npos);
      broker.send(std::string(options.version == MqttVersion::v5 ? "\x90\x04" : "\x90\x03", 2) +
                  packet.body.substr(0, 2) +
                  std::string(options.version == MqttVersion::v5 ? 1 : 0, '\0') + "\x80");
      packet = broker.read();
    }
    CHECK(packet.type == Type::puback);
    CHECK_FALSE(receiver->stats().subscribed);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a packet identifier in use is taken for a reason to take another") {
    options.version = MqttVersion::v5;
    start();
    broker.accept_session(false);
    const auto first = broker.answer_subscription("\x91");
    const auto second = broker.answer_subscription("\x91");
    CHECK(second.packet_id() != first.packet_id());
    CHECK_FALSE(receiver->stats().trouble());
    const auto third = broker.grant_subscription();
    CHECK(third.packet_id() != second.packet_id());
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 1);
    CHECK(receiver->stats().subscribes_refused == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "what the broker grants is known for each filter") {
    options.version = MqttVersion::v5;
    options.filters = {"one/#", "two/+"};
    start();
    broker.accept_session(false);
    broker.grant_subscription(1, 0);
    broker.grant_subscription(1, 1);
    CHECK(subscribed());
    CHECK(filter(0).is_unguaranteed());
    CHECK(filter(0).wanted_qos == 1);
    CHECK_FALSE(filter(1).is_unguaranteed());
    CHECK(filter(1).code == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a filter at which the broker closes is told, and comes last") {
    options.version = MqttVersion::v3_1_1;
    SUBCASE("3.1.1") {}
    SUBCASE("5") { options.version = MqttVersion::v5; }
    options.filters = {"one/#", "two/+"};
    start();
    broker.accept_session(false);
    CHECK(broker.expect(Type::subscribe).body.find("one/#") != std::string::npos);
    broker.close();
    for (int times = 1; times <= 3; ++times) {
      CAPTURE(times);
      broker.accept_session(true);
      REQUIRE(receiver->stats().trouble());
      CHECK(receiver->stats().trouble()->kind == BrokerTrouble::Kind::not_subscribed);
      CHECK(receiver->stats().trouble()->meaning == "one/#: connection closed");
      CHECK(filter(0).state == FilterStatus::State::disconnected);
      CHECK(filter(0).failures == times);
      CHECK(broker.grant_subscription().body.find("two/+") != std::string::npos);
      broker.publish(1, "two/x", "picture", 1);
      for (int i = 0; i < 2; ++i) {  // in either order
        const auto packet = broker.read();
        CHECK((packet.type == Type::puback || packet.body.find("one/#") != std::string::npos));
      }
      broker.close();
    }
    broker.accept_session(true);
    broker.grant_subscription(2);
    CHECK(subscribed());
    CHECK_FALSE(receiver->stats().trouble());
    CHECK(receiver->stats().subscribes_disconnected == 4);
  }

  TEST_CASE_FIXTURE(Fixture, "a DISCONNECT behind SUBSCRIBE is its answer, if its code allows it") {
    options.version = MqttVersion::v5;
    start();
    broker.accept_session(false);
    CHECK(broker.expect(Type::subscribe).type == Type::subscribe);
    SUBCASE("not authorised") {
      broker.disconnect(0x87);
      broker.accept_session(true);
      CHECK(filter().state == FilterStatus::State::disconnected);
      CHECK(filter().meaning() == "not authorised");
    }
    SUBCASE("server shutting down") {
      broker.disconnect(0x8B);
      broker.accept_session(true);
      CHECK_FALSE(filter().has_failed());
      REQUIRE(receiver->stats().trouble());
      CHECK(receiver->stats().trouble()->kind == BrokerTrouble::Kind::lost);
    }
    broker.grant_subscription();
    CHECK(subscribed());
  }

  TEST_CASE_FIXTURE(Fixture,
                    "it subscribes on each connection: a session may lack a subscription") {
    options.version = MqttVersion::v3_1_1;
    SUBCASE("3.1.1") {}
    SUBCASE("5") { options.version = MqttVersion::v5; }
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(noted());
    broker.close();
    broker.accept_session(true);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().connections_lost == 1);
    CHECK(receiver->stats().sessions_lost == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "on 3.1.1 retained messages do not come again on each connection") {
    options.version = MqttVersion::v3_1_1;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    broker.send(std::string("\x33\x0A\x00\x04ia/x\x00\x01pp", 12));  // PUBLISH, QoS 1, RETAIN
    CHECK(broker.expect(Type::puback).packet_id() == 1);
    broker.close();
    broker.accept_session(true);
    CHECK(broker.is_quiet());
    CHECK(subscribed());
    broker.close();
    SUBCASE("but when the session is lost") { broker.accept_session(false); }
    SUBCASE("but when it may be a new one") {
      broker.accept();
      CHECK(broker.expect(Type::connect).type == Type::connect);
      broker.close();
      broker.accept_session(true);
    }
    broker.grant_subscription();
    CHECK(subscribed());
  }

  TEST_CASE_FIXTURE(Fixture, "the end of a connection never spoils the next one") {
    be_granted_once();
    constexpr int kTimes = 10;
    for (int i = 0; i < kTimes; ++i) {
      broker.accept_session(true);
      broker.grant_subscription();
      CHECK(subscribed());
      broker.close();
    }
    broker.accept_session(true);
    broker.grant_subscription();
    CHECK(broker.is_quiet());
    CHECK(receiver->stats().connect_failures == 0);
    CHECK(receiver->stats().connections_lost == kTimes + 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a session that the broker lost is counted, and subscribed again") {
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(noted());
    broker.close();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().sessions_lost == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "the client id is the same after a restart, and so is the session") {
    const auto first = live_once();
    start();
    const auto second = broker.accept_session(true);
    CHECK(first.body == second.body);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().sessions_lost == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "messages of a session that was kept prove the subscription") {
    for (const bool same_filters : {true, false}) {
      options.client_id = same_filters ? "same" : "other";
      live_once();

      options.filters.push_back("more/#");
      options.filters.resize(same_filters ? 1 : 2);
      start();
      broker.accept_session(true);
      CHECK(broker.expect(Type::subscribe).type == Type::subscribe);
      CHECK_FALSE(receiver->stats().subscribed);
      for (const std::uint16_t id : std::initializer_list<std::uint16_t>{
               1, 2}) {  // after the second the first is wholly dealt with
        broker.publish(id, "ia/x", "picture", 1);
        CHECK(broker.expect(Type::puback).packet_id() == id);
      }
      CHECK(receiver->stats().subscribed == same_filters);
      stop();
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a client id that cannot be read is waited for, not replaced") {
    test::ReaderHog hog(spool_options.directory / "records");
    const auto first = live_once();

    spool.emplace(spool_options);
    hog.take_all();
    start_receiver();
    CHECK_FALSE(broker.is_called_within(300));
    hog.give_back();
    CHECK(broker.accept_session(true).body == first.body);
  }

  TEST_CASE_FIXTURE(Fixture, "filters of an earlier configuration are unsubscribed") {
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(noted());
    stop();
    options.filters = {"new/+/topic", "$share/g/other"};
    start();
    broker.accept_session(true);
    CHECK(broker.expect(Type::unsubscribe).body.find("ia/#") != std::string::npos);
    CHECK(broker.grant_subscription().body.find("new/+/topic") != std::string::npos);
    CHECK(broker.grant_subscription().body.find("$share/g/other") != std::string::npos);
    CHECK(subscribed());
  }

  TEST_CASE_FIXTURE(Fixture, "several filters are granted one by one, on both versions") {
    for (const MqttVersion version : {MqttVersion::v3_1_1, MqttVersion::v5}) {
      options.version = version;
      options.client_id = version == MqttVersion::v5 ? "five" : "three";
      options.filters = {"one/#", "two/+"};
      start();
      CHECK(broker.accept_session(false).protocol_level() == (version == MqttVersion::v5 ? 5 : 4));
      broker.grant_subscription(2);
      CHECK(subscribed());
      stop();
      CHECK(broker.expect(Type::disconnect).type == Type::disconnect);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "an answer with the wrong number of codes is a refusal") {
    for (const MqttVersion version : {MqttVersion::v3_1_1, MqttVersion::v5}) {
      for (const std::string& codes : {std::string(2, '\0'), std::string(3, '\1')}) {
        CAPTURE(codes.size());
        options.version = version;
        start();
        broker.accept_session(false);
        broker.answer_subscription(codes);
        CHECK(filter_is(FilterStatus::State::refused));
        CHECK(filter().code == 0x81);
        CHECK_FALSE(receiver->stats().subscribed);
        broker.grant_subscription();
        CHECK(subscribed());
        stop();
      }
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a SUBACK without any code does no harm") {
    for (const MqttVersion version : {MqttVersion::v3_1_1, MqttVersion::v5}) {
      options.version = version;
      start();
      broker.accept_session(false);
      broker.answer_subscription("");
      broker.close();
      broker.accept_session(true);
      broker.grant_subscription();
      CHECK(subscribed());
      stop();
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a session lost and the connection dropped before the SUBACK") {
    be_granted_once();
    broker.accept_session(false);
    CHECK(broker.expect(Type::subscribe).type == Type::subscribe);
    broker.close();
    broker.accept_session(true);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().sessions_lost == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a session lost and the SUBSCRIBE refused") {
    be_granted_once();
    broker.accept_session(false);
    broker.answer_subscription("\x87");
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().sessions_lost == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a CONNACK that never came may have been a new session's") {
    options.version = MqttVersion::v5;
    be_granted_once();
    broker.accept();
    CHECK(broker.expect(Type::connect).type == Type::connect);
    broker.close();
    broker.accept_session(true);
    broker.grant_subscription();
    CHECK(subscribed());
  }

  TEST_CASE_FIXTURE(Fixture, "retained messages are asked for only where the subscription is new") {
    for (const std::size_t count : {1U, 2U}) {
      options.version = MqttVersion::v5;
      options.filters = {"one/#", "two/+"};
      options.filters.resize(count);
      start();
      broker.accept_session(false);
      for (const std::string& filter : options.filters) {
        const std::string body = broker.grant_subscription().body;
        CHECK(body.at(body.find(filter) + filter.size()) == (0x10 | 1));
      }
      stop();
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a SUBSCRIBE without an answer is given up, and the connection too") {
    options.connect_timeout = 1s;
    options.keep_alive = 1s;
    start();
    broker.accept_session(false);
    CHECK(broker.expect(Type::subscribe).type == Type::subscribe);
    auto packet = broker.read();
    while (packet.type == Type::pingreq) {
      broker.send(std::string_view("\xD0\x00", 2));
      packet = broker.read();
    }
    CHECK(packet.type == Type::disconnect);
    broker.accept_session(true);
    CHECK(filter().state == FilterStatus::State::no_answer);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a broker that says nothing is not proven alive, until it does") {
    options.keep_alive = 2s;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->hears_broker());
    CHECK(broker.expect(Type::pingreq).type == Type::pingreq);
    CHECK(eventually([&] { return !receiver->hears_broker(); }));
    CHECK(receiver->stats().connected);
    broker.send(std::string_view("\xD0\x00", 2));
    CHECK(eventually([&] { return receiver->hears_broker(); }));
    broker.close();
    CHECK(eventually([&] { return !receiver->stats().connected; }));
    CHECK_FALSE(receiver->hears_broker());
  }

  TEST_CASE_FIXTURE(Fixture, "pings go out while a message is on its way, answered or not") {
    in_both_forms();
    options.keep_alive = 1s;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    const std::string message = broker.publication(3, "ia/x", std::string(100'000, 'p'), 1);
    broker.send(std::string_view(message).substr(0, 1000));
    // The broker would give us up after 1.5 s without a packet. It answers none: its answers wait
    // behind the message.
    for (std::size_t pings = 0; pings < 6; ++pings) {
      const auto packet = broker.read_within(1400);
      REQUIRE(packet);
      CHECK(packet->type == Type::pingreq);
      broker.send(std::string_view(message).substr(1000 + pings, 1));
    }
    CHECK(receiver->hears_broker());
    broker.send(std::string_view(message).substr(1006));
    auto packet = broker.read();
    while (packet.type == Type::pingreq) {
      packet = broker.read();
    }
    CHECK(packet.type == Type::puback);
    CHECK(packet.packet_id() == 3);
    CHECK(receiver->stats().connects == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "the broker's keep-alive is in effect where it is shorter") {
    options.keep_alive = 60s;
    start();
    broker.answer_connect(false, 0, "\x13\x00\x01"sv);  // Server Keep Alive: 1 s
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().keep_alive.load() == 1s);
    for (int pings = 0; pings < 3; ++pings) {
      const auto packet = broker.read_within(1400);
      REQUIRE(packet);
      CHECK(packet->type == Type::pingreq);
      CHECK(receiver->hears_broker());
      broker.send(std::string_view("\xD0\x00", 2));
    }
    CHECK(eventually([&] { return !receiver->hears_broker(); }));  // after 1.5 s, not after 90 s
    CHECK(eventually([&] { return receiver->stats().connections_lost == 1; }));  // after 3 s
  }

  TEST_CASE_FIXTURE(Fixture, "a message that never arrives whole is noticed") {
    start();
    const auto begin_message = [&](std::size_t bytes) {
      const std::string message = broker.publication(3, "ia/x", std::string(bytes, 'p'), 1);
      broker.send(std::string_view(message).substr(0, message.size() / 2));
    };
    const auto cut = [&](std::uint64_t times) {
      broker.close();
      CHECK(eventually([&] { return receiver->stats().messages_cut == times; }));
    };
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    begin_message(100'000);
    CHECK_FALSE(receiver->stats().incomplete_message());
    // What was read is known once all of it was.
    CHECK(broker.is_quiet());
    cut(1);
    broker.accept_session(true);
    CHECK(broker.expect(Type::subscribe).type == Type::subscribe);  // answered behind the message
    begin_message(100'000);
    CHECK(broker.is_quiet());
    cut(2);
    auto incomplete = receiver->stats().incomplete_message();
    REQUIRE(incomplete);
    CHECK(incomplete->times == 2);
    CHECK(incomplete->total_bytes == 100'000 + 9);  // topic with length, packet id, no properties
    CHECK(incomplete->received_bytes > 40'000);
    CHECK(incomplete->received_bytes < 60'000);

    CHECK(receiver->stats().subscribes_disconnected == 0);
    broker.accept_session(true);
    broker.grant_subscription();
    begin_message(200'000);  // another one
    CHECK(broker.is_quiet());
    cut(3);
    incomplete = receiver->stats().incomplete_message();
    REQUIRE(incomplete);
    CHECK(incomplete->times == 1);

    broker.accept_session(true);
    broker.grant_subscription();
    broker.publish(3, "ia/x", std::string(100'000, 'p'), 1);
    CHECK(broker.expect(Type::puback).packet_id() == 3);
    CHECK(receiver->stats().incomplete_message());  // the longer one is not there yet
    broker.publish(4, "ia/x", std::string(200'000, 'p'), 1);
    CHECK(broker.expect(Type::puback).packet_id() == 4);
    CHECK_FALSE(receiver->stats().incomplete_message());
    CHECK(receiver->stats().messages_cut == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "what the broker grants is known") {
    start();
    // Session Expiry Interval 60 s, Reason String.
    broker.answer_connect(false, 0, "\x11\x00\x00\x00\x3C\x1F\x00\x02hi"sv);
    broker.grant_subscription();
    CHECK(subscribed());
    REQUIRE(receiver->stats().connack());
    CHECK(receiver->stats().connack()->session_expiry == 60s);
    CHECK(receiver->stats().connack()->statement.reason == "hi");
    CHECK(receiver->stats().session_expiry_asked.load() == options.session_expiry);
    broker.close();
    broker.accept_session(true);  // the next one says nothing, and so grants what is asked
    CHECK(eventually([&] { return receiver->stats().connects == 2; }));
    CHECK(receiver->stats().connack()->session_expiry == options.session_expiry);
  }

  TEST_CASE_FIXTURE(Fixture, "every property of a CONNACK is read") {
    start();
    constexpr std::string_view properties =
        "\x11\x00\x00\x00\x3C"  // Session Expiry Interval
        "\x13\x00\x0A"          // Server Keep Alive
        "\x21\x00\x14"          // Receive Maximum
        "\x24\x01"              // Maximum QoS
        "\x27\x00\x02\x00\x00"  // Maximum Packet Size
        "\x22\x00\x08"          // Topic Alias Maximum
        "\x25\x00"              // Retain Available
        "\x28\x00"              // Wildcard Subscription Available
        "\x29\x00"              // Subscription Identifiers Available
        "\x2A\x00"              // Shared Subscription Available
        "\x12\x00\x03our"       // Assigned Client Identifier
        "\x1F\x00\x02hi"        // Reason String
        "\x1C\x00\x06"
        "b:1883"                     // Server Reference
        "\x26\x00\x01k\x00\x01v"sv;  // User Property
    broker.answer_connect(false, 0, properties);
    CHECK(eventually([&] { return receiver->stats().connects == 1; }));
    CHECK(receiver->stats().connack() == ConnackProperties{.session_expiry = 60s,
                                                           .server_keep_alive = 10s,
                                                           .receive_maximum = 20,
                                                           .maximum_qos = 1,
                                                           .maximum_packet_size = 131'072,
                                                           .topic_alias_maximum = 8,
                                                           .retain_available = false,
                                                           .wildcard_subscriptions = false,
                                                           .subscription_identifiers = false,
                                                           .shared_subscriptions = false,
                                                           .assigned_client_id = "our",
                                                           .statement = {"hi", "b:1883"}});
  }

  TEST_CASE_FIXTURE(Fixture, "on MQTT 3.1.1 nothing is granted or announced") {
    options.version = MqttVersion::v3_1_1;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK_FALSE(receiver->stats().connack());
    CHECK(receiver->stats().keep_alive.load() == options.keep_alive);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal has the broker's own words") {
    options.version = MqttVersion::v5;
    start();
    // Reason String with a control character, Server Reference.
    broker.answer_connect(false, 0x9D,
                          "\x1F\x00\x06go\x1B[0m\x1C\x00\x06"
                          "b:1883"sv);
    CHECK(eventually([&] { return receiver->stats().trouble().has_value(); }));
    const auto trouble = receiver->stats().trouble();
    CHECK(trouble->kind == BrokerTrouble::Kind::refused);
    CHECK(trouble->meaning == "server moved");
    CHECK(trouble->statement == BrokerStatement{"go\\x1b[0m", "b:1883"});
    // They are of this answer, and not of the next one.
    broker.answer_connect(false, 0x87, "");
    CHECK(eventually([&] { return receiver->stats().trouble()->meaning == "not authorised"; }));
    CHECK(receiver->stats().trouble()->statement.empty());
  }

  TEST_CASE_FIXTURE(Fixture, "the end of a session has the broker's own words") {
    options.version = MqttVersion::v5;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    broker.disconnect(0x98, "\x1F\x00\x07updates"sv);
    CHECK(eventually([&] { return receiver->stats().connections_lost == 1; }));
    const auto trouble = receiver->stats().trouble();
    REQUIRE(trouble);
    CHECK(trouble->meaning == "administrative action");
    CHECK(trouble->statement == BrokerStatement{"updates", ""});
  }

  TEST_CASE_FIXTURE(Fixture, "a refused subscription has the broker's own words") {
    options.version = MqttVersion::v5;
    start();
    broker.accept_session(false);
    broker.answer_subscription("\x87", "\x1F\x00\x05no ia"sv);
    CHECK(eventually([&] { return receiver->stats().trouble().has_value(); }));
    CHECK(receiver->stats().trouble()->kind == BrokerTrouble::Kind::not_subscribed);
    CHECK(receiver->stats().trouble()->statement == BrokerStatement{"no ia", ""});
    CHECK(receiver->stats().filters().at(0).statement == BrokerStatement{"no ia", ""});
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().filters().at(0).statement.empty());
  }

  TEST_CASE_FIXTURE(Fixture, "what the broker does not offer is not asked for, the rest is") {
    options.version = MqttVersion::v5;
    options.filters = {"one/#", "two/picture"};
    start();
    broker.answer_connect(false, 0, "\x28\x00"sv);  // no wildcards
    CHECK(broker.grant_subscription().body.find("two/picture") != std::string::npos);
    CHECK(eventually(
        [&] { return receiver->stats().filters().at(1).state == FilterStatus::State::granted; }));
    const FilterStatus refused = receiver->stats().filters().at(0);
    CHECK(refused.state == FilterStatus::State::refused);
    CHECK(refused.meaning() == "wildcard subscriptions not supported");
    CHECK_FALSE(receiver->stats().subscribed);
    broker.publish(3, "two/picture", "picture", 1);
    CHECK(broker.expect(Type::puback).packet_id() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "failures to connect are counted by their reason") {
    options.version = MqttVersion::v5;
    start();
    for (int i = 0; i < 2; ++i) {
      broker.accept();
      CHECK(broker.expect(Type::connect).type == Type::connect);
      broker.send(std::string_view("\x20\x03\x00\x87\x00", 5));
    }
    CHECK(eventually([&] { return receiver->stats().connect_failures == 2; }));
    CHECK(receiver->stats().connect_failures_by_reason().at("not authorised") == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "its session's thread beats when it is poked") {
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(eventually([&] { return receiver->pulse().silent_for() > 50ms; }));
    receiver->poke();
    CHECK(eventually([&] { return receiver->pulse().silent_for() < 50ms; }));
  }

  TEST_CASE_FIXTURE(Fixture, "messages that come before the SUBACK give it more time") {
    options.connect_timeout = 1s;
    options.keep_alive = 1s;
    start();
    broker.accept_session(false);
    const std::string id = broker.expect(Type::subscribe).body.substr(0, 2);
    const auto started = std::chrono::steady_clock::now();
    for (std::uint16_t message = 1; std::chrono::steady_clock::now() - started < 4s; ++message) {
      broker.publish(message, "ia/x", "picture", 1);
      auto packet = broker.read();
      while (packet.type == Type::pingreq) {
        broker.send(std::string_view("\xD0\x00", 2));
        packet = broker.read();
      }
      CHECK(packet.type == Type::puback);
    }
    broker.send(std::string("\x90\x04", 2) + id + std::string("\x00\x01", 2));
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a message on its way before the SUBACK gives it more time") {
    options.connect_timeout = 1s;
    options.keep_alive = 1s;
    start();
    broker.accept_session(false);
    const std::string id = broker.expect(Type::subscribe).body.substr(0, 2);
    const std::string message = broker.publication(3, "ia/x", std::string(1000, 'p'), 1);
    const auto started = std::chrono::steady_clock::now();
    std::size_t sent = 100;
    broker.send(std::string_view(message).substr(0, sent));
    while (std::chrono::steady_clock::now() - started <
           5s) {  // longer than an answer is waited for
      CHECK(broker.read().type == Type::pingreq);
      broker.send(std::string_view(message).substr(sent++, 1));
    }
    broker.send(std::string_view(message).substr(sent));
    broker.send(std::string("\x90\x04", 2) + id + std::string("\x00\x01", 2));
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "after the broker's DISCONNECT it does not wait for the socket") {
    options.version = MqttVersion::v5;
    start();
    broker.accept_session(false);
    broker.grant_subscription();
    CHECK(subscribed());
    broker.send(std::string_view("\xE0\x02\x8E\x00", 4));  // session taken over
    CHECK(eventually([&] { return receiver->stats().connections_lost == 1; }));
    broker.accept_session(true);
    broker.grant_subscription();
    CHECK(subscribed());
    CHECK(receiver->stats().connects == 2);
    CHECK(receiver->stats().connections_lost == 1);
    broker.publish(7, "ia/x", "picture", 1);
    CHECK(broker.expect(Type::puback).packet_id() == 7);
  }

  TEST_CASE_FIXTURE(Fixture, "it ends quickly while nobody answers") {
    options.connect_timeout = 60s;
    start();
    broker.accept();  // and never a CONNACK
    const auto started = std::chrono::steady_clock::now();
    stop();
    CHECK(std::chrono::steady_clock::now() - started < 4s);
  }
}

}  // namespace
