#include "mqtt/upgrade_answer.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace {

using namespace m2b;

TEST_SUITE("upgrade_answer") {
  constexpr std::string_view kRefusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  constexpr std::string_view kGrant =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

  UpgradeAnswer answer_of(std::string_view bytes) {
    UpgradeAnswer answer;
    answer.add(bytes);
    return answer;
  }

  ConnectFault explained(std::string_view bytes,
                         MqttTransport transport = MqttTransport::websocket) {
    MqttOptions options;
    options.host = "broker";
    options.port = 8083;
    options.transport = transport;
    return answer_of(bytes).explain(options, "its error");
  }

  bool says(const ConnectFault& fault, std::string_view part) {
    return fault.text.find(part) != std::string::npos;
  }

  TEST_CASE("a refusal is known as soon as its head is there, and no HTTP at its first byte") {
    UpgradeAnswer refusal;
    for (const char byte : kRefusal) {
      CHECK_FALSE(refusal.is_refusal());
      refusal.add({&byte, 1});
    }
    CHECK(refusal.is_refusal());
    UpgradeAnswer grant;
    for (const char byte : kGrant) {
      grant.add({&byte, 1});
      CHECK_FALSE(grant.is_refusal());
    }
    CHECK(answer_of("S").is_refusal());
    CHECK(answer_of("HTTP/2").is_refusal());
    CHECK(answer_of("HTTP/1.1 abc\r\n\r\n").is_refusal());
    CHECK_FALSE(answer_of("").is_refusal());
  }

  TEST_CASE("no more than a bounded head is kept") {
    UpgradeAnswer answer = answer_of(kGrant.substr(0, kGrant.size() - 2));
    for (int i = 0; i < 10'000; ++i) {
      answer.add("X-Filler: y\r\n");
    }
    answer.add("\r\n");
    CHECK_FALSE(answer.is_refusal());
    CHECK(answer.explain({}, "").text.find("longer than 8 KiB") != std::string::npos);
  }

  TEST_CASE("each kind of answer is named with its remedy") {
    const ConnectFault missing = explained(kRefusal);
    CHECK(missing.needs_a_person);
    CHECK(says(missing, "HTTP status 404 Not Found"));
    CHECK(says(missing, "port 8083 (BROKER_PORT)"));
    CHECK(says(missing, "/mqtt (MQTT_WEBSOCKET_PATH)"));
    CHECK(says(missing, "ws (MQTT_TRANSPORT)"));
    CHECK(says(explained(kRefusal, MqttTransport::secure_websocket), "wss (MQTT_TRANSPORT)"));

    CHECK(says(explained("HTTP/1.1 401 Unauthorized\r\n\r\n"), "a login of its own"));
    CHECK(says(explained("HTTP/1.1 407 Proxy Login\r\n\r\n"), "a proxy on the way"));
    const ConnectFault moved =
        explained("HTTP/1.1 302 Found\r\nA: b\r\nLOCATION:  https://portal/login \r\n\r\n");
    CHECK(says(moved, "302 Found, Location: https://portal/login:"));
    const ConnectFault away = explained("HTTP/1.0 502 Bad Gateway\r\n\r\n");
    CHECK_FALSE(away.needs_a_person);
    CHECK(says(away, "502 Bad Gateway"));
    CHECK_FALSE(explained("").needs_a_person);
    CHECK(says(explained(""), "closed instead of an answer"));
    CHECK(says(explained(kGrant), "not that of a WebSocket (its error)"));
    CHECK(says(explained("SSH-2.0-x\r\n"), "no HTTP (it says \"SSH-2.0-x\\x0d\\x0a\")"));
  }

  TEST_CASE("what the other side says is bounded, and cannot move a cursor") {
    const std::string hostile = "\x1b[2J\xe2\x80\xae" + std::string(4000, 'x');
    for (const std::string& answer :
         {"HTTP/1.1 404 " + hostile + "\r\n\r\n",
          "HTTP/1.1 302 Found\r\nLocation: " + hostile + "\r\n\r\n", hostile}) {
      const ConnectFault fault = explained(answer);
      CHECK(fault.text.size() < 700);
      CHECK(fault.text.find('\x1b') == std::string::npos);
      CHECK(fault.text.find("\xe2\x80\xae") == std::string::npos);
    }
    CHECK(describe_close(1011, hostile).size() < 200);
  }

  TEST_CASE("a close is named by its code and its reason") {
    CHECK(describe_close(1008, "") == "code 1008 (policy violation)");
    CHECK(describe_close(4000, "enough") == "code 4000: enough");
    CHECK(describe_close(0, "") == "code none");
  }
}

}  // namespace
