#include "m2b/mqtt/session_check.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <string>

#include "support/scripted_broker.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using test::ScriptedBroker;
using Type = ScriptedBroker::Type;

TEST_SUITE("session_check") {
  struct Fixture {
    ScriptedBroker broker;
    MqttOptions options;

    Fixture() {
      options.host = "127.0.0.1";
      options.port = broker.port();
      options.connect_timeout = 5s;
      options.username.clear();
    }

    /// Behind the protocol name and level of CONNECT: the flags.
    static bool is_clean(const ScriptedBroker::Packet& connect) {
      constexpr std::size_t kFlags = 7;
      return (static_cast<unsigned char>(connect.body[kFlags]) & 2U) != 0;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "the session is new, has no expiry, and ends with a DISCONNECT") {
    SUBCASE("5") { options.version = MqttVersion::v5; }
    SUBCASE("3.1.1") { options.version = MqttVersion::v3_1_1; }
    std::promise<SessionCheck::Login> login;
    std::promise<SessionCheck::Grant> grant;
    std::jthread client([&] {
      SessionCheck session(options, "plant-check-1");
      login.set_value(session.connect({}, {}));
      grant.set_value(session.subscribe("ia/#", 10s, {}));
    });
    const auto connect = broker.accept_session(false);
    CHECK(is_clean(connect));
    constexpr char kSessionExpiry = 0x11;  // of MQTT 5's property; the client id has no such byte
    CHECK(connect.body.find(kSessionExpiry) == std::string::npos);
    CHECK(login.get_future().get().is_accepted);
    const auto subscribe = broker.answer_subscription(std::string(1, '\x01'));
    if (options.version == MqttVersion::v5) {
      constexpr unsigned kNeverRetained = 2U << 4U;  // MQTT 5, section 3.8.3.1
      CHECK((static_cast<unsigned char>(subscribe.body.back()) & 0x30U) == kNeverRetained);
    }
    const SessionCheck::Grant granted = grant.get_future().get();
    CHECK(granted.kind == SessionCheck::Grant::Kind::granted);
    CHECK(granted.qos == 1);
    CHECK(broker.expect(Type::disconnect).type == Type::disconnect);
  }

  TEST_CASE_FIXTURE(Fixture, "a refused filter, and a connection that ends at it, are told apart") {
    options.version = MqttVersion::v5;
    SessionCheck session(options, "plant-check-1");
    auto login = std::async(std::launch::async, [&] { return session.connect({}, {}); });
    static_cast<void>(broker.accept_session(false));
    CHECK(login.get().is_accepted);
    const auto subscribe = [&] {
      return std::async(std::launch::async, [&] { return session.subscribe("ia/#", 10s, {}); });
    };
    auto refused = subscribe();
    static_cast<void>(broker.answer_subscription("\x87"));
    const SessionCheck::Grant grant = refused.get();
    CHECK(grant.kind == SessionCheck::Grant::Kind::refused);
    CHECK(grant.meaning == "not authorised");
    auto closed = subscribe();
    static_cast<void>(broker.expect(Type::subscribe));
    broker.close();
    CHECK(closed.get().kind == SessionCheck::Grant::Kind::closed);
  }

  TEST_CASE_FIXTURE(Fixture, "a client id that the broker refuses is a matter of the client id") {
    options.version = MqttVersion::v5;
    SessionCheck session(options, "plant-check-1");
    auto login = std::async(std::launch::async, [&] { return session.connect({}, {}); });
    broker.accept();
    static_cast<void>(broker.expect(Type::connect));
    broker.send(std::string("\x20\x03\x00\x85\x00", 5));
    const SessionCheck::Login refused = login.get();
    CHECK_FALSE(refused.is_accepted);
    CHECK(refused.may_be_about_client_id);
    CHECK(refused.trouble.kind == BrokerTrouble::Kind::refused);
    CHECK(refused.trouble.meaning == "client identifier not valid");
  }
}

}  // namespace
