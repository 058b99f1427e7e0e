#include "mqtt/parked_acks.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <string>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/spool/spool.hpp"
#include "support/eventually.hpp"
#include "support/messages.hpp"
#include "support/paho_events.hpp"
#include "support/scripted_broker.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using test::eventually;
using test::ScriptedBroker;
using Type = ScriptedBroker::Type;

TEST_SUITE("parked_acks") {
  /// A record of this size fills the spool; the next ones wait until it has left.
  constexpr std::size_t kFill = 1'200'000;
  constexpr SpoolId kFilling{1};
  constexpr std::size_t kBorrowed = 100'000;  // from this size on

  struct Fixture {
    test::TempDir dir;
    SpoolOptions spool_options{
        .directory = dir.path() / "spool", .max_bytes = 1 << 20, .min_free_bytes = 0};
    std::optional<Spool> spool;
    ReceiverStats stats;
    ParkedAcksOptions options{.max_bytes = 1000, .patience = 100ms};
    std::atomic<int> rooms = 0;
    std::optional<ParkedAcks> parked;

    ScriptedBroker broker;
    MqttOptions mqtt_options;
    test::PahoEvents events{
        [this](paho::Message message) { parked->hand_over(std::move(message)); },
        [this](const paho::LargeMessage& message) { parked->hand_over_large(message); }};
    std::optional<paho::Client> client;

    void start() {
      spool.emplace(spool_options);
      parked.emplace(*spool, stats, options, [this] { ++rooms; });
      connect();
    }
    void connect() {
      events.connected = false;
      mqtt_options.host = "127.0.0.1";
      mqtt_options.port = broker.port();
      client.emplace(mqtt_options, "parked", MqttVersion::v5, parked->ack_time(), events, "",
                     kBorrowed);
      parked->begin_connection(*client);
      client->connect({});
      broker.accept_session(true);
      CHECK(eventually([&] { return events.connected.load(); }));
    }
    void disconnect() {
      parked->end_connection();
      client.reset();
      broker.close();
    }
    ~Fixture() {
      if (parked) {
        disconnect();
        parked.reset();
      }
    }
    void fill_spool() { test::append_durably(*spool, "t", std::string(kFill, 'f')); }
    void make_room() { CHECK(spool->remove_stored(kFilling)); }
    bool received(std::uint64_t count, std::size_t qos = 1) {
      return eventually([&] { return stats.received.at(qos) == count; });
    }
    bool quiet() { return broker.is_quiet(); }
    std::uint16_t next_ack() { return broker.expect(Type::puback).packet_id(); }
  };

  TEST_CASE_FIXTURE(Fixture, "acknowledgements leave after the commit, in order of arrival") {
    options.max_bytes = 1 << 20;
    start();
    fill_spool();
    for (std::uint16_t id = 30; id > 20; --id) {
      broker.publish(id, "t", "picture", 1);
    }
    CHECK(received(10));  // none waits in the callback
    CHECK(quiet());
    make_room();
    for (std::uint16_t id = 30; id > 20; --id) {
      CHECK(next_ack() == id);
    }
    CHECK(eventually([&] { return stats.acknowledged == 10; }));
    CHECK(spool->totals().received == 11);
  }

  TEST_CASE_FIXTURE(Fixture, "what was parked on another connection is given up") {
    start();
    fill_spool();
    broker.publish(7, "t", "old", 1);
    broker.publish(0, "t", "nobody sends it again", 0);
    CHECK(received(1, 0));
    disconnect();
    connect();
    broker.publish(8, "t", "new", 1);
    CHECK(received(2));
    make_room();
    CHECK(next_ack() == 8);
    CHECK(quiet());
    CHECK(stats.acknowledged == 1);
    CHECK(spool->totals().received == 3);  // the filling one, that of QoS 0 and the new one
  }

  TEST_CASE_FIXTURE(Fixture, "what became durable after its connection is not acknowledged") {
    start();
    fill_spool();
    broker.publish(8, "t", "late", 1);
    CHECK(received(1));
    make_room();
    disconnect();
    connect();
    broker.publish(9, "t", "new", 1);
    CHECK(next_ack() == 9);
    CHECK(quiet());
  }

  TEST_CASE_FIXTURE(Fixture, "without room messages stay with the broker until there is some") {
    start();
    fill_spool();
    broker.publish(1, "t", std::string(600, 'a'), 1);
    broker.publish(2, "t", std::string(600, 'b'), 1);  // refused after the patience
    broker.publish(3, "t", "small, but behind the refused one", 1);
    CHECK(received(3));
    CHECK(rooms == 0);
    make_room();
    CHECK(next_ack() == 1);
    CHECK(quiet());
    CHECK(rooms == 1);

    disconnect();  // as on_room asks for
    connect();
    broker.publish(2, "t", std::string(600, 'b'), 1);
    broker.publish(3, "t", "small", 1);
    CHECK(next_ack() == 2);
    CHECK(next_ack() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "a borrowed message is acknowledged in its turn") {
    start();
    const std::string large(200'000, 'l');
    for (const int qos : {1, 2}) {
      broker.publish(1, "t", "small", 1);
      broker.publish(2, "a/topic", large, qos);
      broker.publish(3, "t", "small", 1);
      CHECK(next_ack() == 1);
      CHECK(broker.expect(qos == 1 ? Type::puback : Type::pubrec).packet_id() == 2);
      CHECK(next_ack() == 3);
    }
    const ReadResult read = spool->read(SpoolId{2});
    REQUIRE(std::holds_alternative<Record>(read));
    CHECK(std::get<Record>(read).message().topic == "a/topic");
    CHECK(std::get<Record>(read).message().payload == large);
  }

  TEST_CASE_FIXTURE(Fixture, "while a message waits for room we ping the broker") {
    options.patience = 60s;
    mqtt_options.keep_alive = 2s;
    start();
    fill_spool();
    broker.publish(1, "t", std::string(600, 'a'), 1);
    broker.publish(2, "t", std::string(600, 'b'), 1);
    CHECK(received(2));
    for (int pings = 0; pings < 3; ++pings) {
      const auto packet = broker.read_within(2800);  // the broker's patience is 3 s
      REQUIRE(packet);
      CHECK(packet->type == Type::pingreq);
    }
    make_room();
    ScriptedBroker::Packet packet = broker.read();
    while (packet.type == Type::pingreq) {
      packet = broker.read();
    }
    CHECK(packet.type == Type::puback);
    CHECK_FALSE(events.lost);
  }

  TEST_CASE_FIXTURE(Fixture, "while a borrowed message waits for the disk we ping the broker") {
    options.patience = 60s;
    mqtt_options.keep_alive = 2s;
    start();
    fill_spool();
    broker.publish(1, "t", std::string(200'000, 'l'), 1);
    CHECK(received(1));
    for (int pings = 0; pings < 3; ++pings) {
      CHECK(broker.expect(Type::pingreq).body == "");
      broker.send(std::string("\xD0\x00", 2));
    }
    make_room();
    ScriptedBroker::Packet packet = broker.read();
    while (packet.type == Type::pingreq) {
      packet = broker.read();
    }
    CHECK(packet.type == Type::puback);
    CHECK_FALSE(events.lost);
  }

  TEST_CASE_FIXTURE(Fixture, "without room a borrowed message stays with the broker") {
    start();
    fill_spool();
    broker.publish(1, "t", std::string(200'000, 'l'), 1);  // refused after the patience
    broker.publish(2, "t", "small, but behind the refused one", 1);
    CHECK(received(2));
    CHECK(quiet());
    CHECK(rooms == 0);
    make_room();
    CHECK(eventually([&] { return rooms == 1; }));
    disconnect();  // as on_room asks for
    connect();
    broker.publish(1, "t", std::string(200'000, 'l'), 1);
    broker.publish(2, "t", "small", 1);
    CHECK(next_ack() == 1);
    CHECK(next_ack() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a borrowed message is given up when its connection ends") {
    options.patience = 60s;
    start();
    fill_spool();
    broker.publish(1, "t", std::string(200'000, 'l'), 1);
    CHECK(received(1));
    disconnect();
    make_room();
    connect();
    broker.publish(2, "t", "new", 1);
    CHECK(next_ack() == 2);
    CHECK(spool->totals().received == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a message larger than the limit has its place alone") {
    options.patience =
        10s;  // the second one waits for the first one's commit, on a busy machine too
    start();
    broker.publish(1, "t", std::string(5000, 'a'), 1);
    broker.publish(2, "t", std::string(5000, 'b'), 1);
    CHECK(next_ack() == 1);
    CHECK(next_ack() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a message of QoS 0 without room is lost, later ones are not") {
    start();
    fill_spool();
    broker.publish(1, "t", std::string(900, 'a'), 1);
    broker.publish(0, "t", std::string(900, 'b'), 0);
    broker.publish(2, "t", "c", 1);
    CHECK(received(2));
    make_room();
    CHECK(next_ack() == 1);
    CHECK(next_ack() == 2);
    CHECK(rooms == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a callback that waits does not hold up the end of the connection") {
    options.patience = 10min;
    start();
    fill_spool();
    broker.publish(1, "t", std::string(900, 'a'), 1);
    broker.publish(2, "t", std::string(900, 'b'), 1);
    CHECK(received(2));
    disconnect();
    CHECK(stats.acknowledged == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "the spool may be closed while messages are parked") {
    start();
    fill_spool();
    broker.publish(1, "t", "a", 1);
    CHECK(received(1));
    spool->close();
    broker.publish(2, "t", "b", 1);
    CHECK(received(2));
    CHECK(quiet());
  }

  // Paho's own thread appends under Paho's lock, which the end of the last message takes: with the
  // spool's mutex held, ThreadSanitizer tells the two orders.
  TEST_CASE_FIXTURE(Fixture, "the last of its messages may end with the spool") {
    start();
    fill_spool();
    broker.publish(0, "t", "nobody withdraws it", 0);
    CHECK(eventually([&] { return spool->intake() == Intake::at_cap; }));  // it is in its hands
    disconnect();
    parked.reset();
    spool->close();
    CHECK(spool->totals().received == 1);  // the filling one
  }
}

}  // namespace
