#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "mqtt/paho_client.hpp"
#include "support/loopback.hpp"
#include "support/paho_events.hpp"
#include "support/scripted_broker.hpp"

namespace {

using namespace m2b;

TEST_SUITE("paho_environment") {
  TEST_CASE("a proxy in the environment is not for MQTT") {
    const std::string proxy = "http://127.0.0.1:" + std::to_string(test::free_port());
    std::string value = proxy;
    SUBCASE("set") {}
    SUBCASE("set to nothing") { value = ""; }
    ::setenv("http_proxy", value.c_str(), 1);
    ::setenv("https_proxy", value.c_str(), 1);
    test::ScriptedBroker broker;
    MqttOptions options;
    options.host = "127.0.0.1";
    options.port = broker.port();
    test::PahoEvents events([](const paho::Message&) {});
    {
      paho::Client client(options, "direct", MqttVersion::v5, paho::AckTime::on_return, events);
      client.connect({});
      CHECK_NOTHROW(broker.accept_session(false));
    }
    ::unsetenv("http_proxy");
    ::unsetenv("https_proxy");
  }
}

}  // namespace
