#include "mqtt/late_ack.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mqtt/late_ack_check.hpp"
#include "mqtt/paho_client.hpp"
#include "support/eventually.hpp"
#include "support/paho_events.hpp"
#include "support/scripted_broker.hpp"

namespace {

using namespace m2b;
using test::eventually;
using test::ScriptedBroker;
using Type = ScriptedBroker::Type;

TEST_SUITE("late_ack") {
  struct Fixture {
    ScriptedBroker broker;
    MqttOptions options;
    std::atomic<int> arrived = 0;
    test::PahoEvents events{[this](const paho::Message&) { ++arrived; }};
    std::optional<paho::Client> client;

    void connect(MqttVersion version, paho::AckTime ack_time) {
      options.host = "127.0.0.1";
      options.port = broker.port();
      client.emplace(options, "late", version, ack_time, events);
      client->connect({});
      broker.accept_session(false);
      CHECK(eventually([&] { return events.connected.load(); }));
    }
    void publish(std::uint16_t id, int qos) {
      const int before = arrived;
      broker.publish(id, "t", "picture", qos);
      CHECK(eventually([&] { return arrived > before; }));
    }
  };

  TEST_CASE("the build can put acknowledgements off") {
    CHECK(paho::LateAck::is_linked());
    CHECK(check_late_ack() == "");
  }

  TEST_CASE_FIXTURE(Fixture, "an acknowledgement leaves when it is sent, not before") {
    MqttVersion version = MqttVersion::v5;
    SUBCASE("MQTT 5") { version = MqttVersion::v5; }
    SUBCASE("MQTT 3.1.1") { version = MqttVersion::v3_1_1; }
    connect(version, paho::AckTime::when_told);
    publish(3, 1);
    publish(4, 1);
    CHECK(broker.is_quiet());
    const std::vector<paho::Ack> acks{{3, 1}, {4, 1}};
    CHECK(client->acknowledge(acks) == 2);
    CHECK(broker.expect(Type::puback).packet_id() == 3);
    CHECK(broker.expect(Type::puback).packet_id() == 4);
  }

  TEST_CASE_FIXTURE(Fixture, "at QoS 2 it is PUBREC, and Paho does the rest") {
    connect(MqttVersion::v5, paho::AckTime::when_told);
    publish(9, 2);
    CHECK(broker.is_quiet());
    CHECK(client->acknowledge(std::vector<paho::Ack>{{9, 2}}) == 1);
    CHECK(broker.expect(Type::pubrec).packet_id() == 9);
    broker.send(std::string("\x62\x02\x00\x09", 4));  // PUBREL
    CHECK(broker.read().type == Type{7});             // PUBCOMP
  }

  TEST_CASE_FIXTURE(Fixture, "a client that is not late is acknowledged by Paho") {
    connect(MqttVersion::v5, paho::AckTime::on_return);
    publish(5, 1);
    CHECK(broker.expect(Type::puback).packet_id() == 5);
  }

  TEST_CASE_FIXTURE(Fixture, "while bytes wait for the socket an acknowledgement has to wait") {
    connect(MqttVersion::v5, paho::AckTime::when_told);
    publish(1, 1);
    // More than the sockets hold, and the broker does not read.
    constexpr int kSubscribes = 512;
    const std::string filter(60'000, 'f');
    for (int i = 0; i < kSubscribes; ++i) {
      CHECK(client->subscribe(filter, 1));
    }
    CHECK(eventually([&] { return client->acknowledge(std::vector<paho::Ack>{{1, 1}}) == 0; }));
    for (int i = 0; i < kSubscribes;) {
      const auto packet = broker.read();  // PUBACK, too, that left before the socket was full
      i += packet.type == Type::subscribe ? 1 : 0;
    }
    publish(2, 1);
    CHECK(broker.is_quiet());
    CHECK(client->acknowledge(std::vector<paho::Ack>{{2, 1}}) == 1);
    CHECK(broker.expect(Type::puback).packet_id() == 2);
  }

  /// Of our connection to that port.
  int socket_to(std::uint16_t port) {
    constexpr int kMost = 1024;
    for (int fd = 0; fd < kMost; ++fd) {
      sockaddr_in peer{};
      socklen_t size = sizeof peer;
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
          ntohs(peer.sin_port) == port) {
        return fd;
      }
    }
    return -1;
  }

  TEST_CASE_FIXTURE(Fixture, "an acknowledgement that cannot be sent ends the connection") {
    connect(MqttVersion::v5, paho::AckTime::when_told);
    publish(1, 1);
    // Nothing can be sent any more, and Paho, which reads, sees nothing of that.
    REQUIRE(::shutdown(socket_to(broker.port()), SHUT_WR) == 0);
    publish(2, 1);
    CHECK_FALSE(events.lost);
    CHECK(client->acknowledge(std::vector<paho::Ack>{{1, 1}, {2, 1}}) == 2);
    CHECK(eventually([&] { return events.lost.load(); }));
  }

  TEST_CASE_FIXTURE(Fixture, "after the end of the connection acknowledgements come to nothing") {
    connect(MqttVersion::v5, paho::AckTime::when_told);
    publish(1, 1);
    client->disconnect();
    CHECK(broker.expect(Type::disconnect).type == Type::disconnect);
    broker.close();
    CHECK(eventually([&] { return client->acknowledge(std::vector<paho::Ack>{{1, 1}}) == 1; }));
  }
}

}  // namespace
