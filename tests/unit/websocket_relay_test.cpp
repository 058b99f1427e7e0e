#include "mqtt/websocket_relay.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "m2b/util/fd.hpp"
#include "support/eventually.hpp"
#include "support/websocket_peer.hpp"

namespace {

using namespace m2b;
using test::eventually;
using test::WebSocketPeer;
using Stage = RelayEnd::Stage;

TEST_SUITE("websocket_relay") {
  /// Connects to the loopback; -1 when that fails. Nothing but system calls.
  int call(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? socket
                                                                                         : -1;
  }

  struct Fixture {
    WebSocketPeer broker;
    MqttOptions options;
    std::optional<WebSocketRelay> relay;
    Fd paho;

    Fixture() {
      options.host = "127.0.0.1";
      options.port = broker.port();
      options.transport = MqttTransport::websocket;
      options.websocket_path = "/a?b";
    }

    [[nodiscard]] std::uint16_t relay_port() const {
      const std::string address = relay->address();
      return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    }
    /// As Paho does it.
    void begin() {
      relay.emplace(options);
      paho = Fd(call(relay_port()));
    }
    void open() {
      begin();
      broker.upgrade();
    }
    void say(std::string_view bytes) const {
      CHECK(::send(paho.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
    }
    /// What Paho gets next; empty at the end of the connection.
    [[nodiscard]] std::string hear() const {
      pollfd waiting{paho.get(), POLLIN, 0};
      REQUIRE(::poll(&waiting, 1, 10'000) == 1);
      std::array<char, 512> buffer{};
      const ssize_t got = ::recv(paho.get(), buffer.data(), buffer.size(), 0);
      return {buffer.data(), static_cast<std::size_t>(got > 0 ? got : 0)};
    }
    [[nodiscard]] std::string end_text(Stage stage) const {
      const auto end = relay->end();
      REQUIRE(end.has_value());
      CHECK(end->stage == stage);
      return end->fault.text;
    }
  };

  bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  TEST_CASE_FIXTURE(Fixture, "bytes go both ways, whatever frames they come in") {
    begin();
    const std::string request = broker.upgrade();
    CHECK(request.starts_with("GET /a?b HTTP/1.1\r\n"));
    CHECK(contains(request, "\r\nHost: 127.0.0.1:" + std::to_string(options.port) + "\r\n"));
    CHECK(contains(request, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    say("from Paho");
    const auto frame = broker.read_frame();
    CHECK(frame.opcode == WebSocketPeer::kBinary);
    CHECK(frame.payload == "from Paho");
    broker.send_frame(WebSocketPeer::kBinary, "from the");
    broker.send_frame(WebSocketPeer::kBinary, "");
    broker.send_frame(WebSocketPeer::kBinary, " broker");
    std::string heard;
    while (heard.size() < std::string_view("from the broker").size()) {
      heard += hear();
    }
    CHECK(heard == "from the broker");
    CHECK_FALSE(relay->end());
  }

  TEST_CASE_FIXTURE(Fixture, "Paho's last words are followed by a close") {
    open();
    say("good-bye");
    paho = Fd();
    CHECK(broker.read_frame().payload == "good-bye");
    const auto last = broker.read_frame();
    CHECK(last.opcode == WebSocketPeer::kClose);
    CHECK(last.payload == "\x03\xe8");
    CHECK_FALSE(relay->end());
  }

  TEST_CASE_FIXTURE(Fixture, "the broker's close ends Paho's connection behind what came before") {
    open();
    broker.send_frame(WebSocketPeer::kBinary, "the last");
    broker.send_frame(WebSocketPeer::kClose, "\x03\xf0not you");
    std::string heard;
    for (std::string part = hear(); !part.empty(); part = hear()) {
      heard += part;
    }
    CHECK(heard == "the last");
    CHECK(end_text(Stage::open) ==
          "the broker closed the WebSocket with code 1008 (policy violation): not you");
    CHECK(broker.read_frame().opcode == WebSocketPeer::kClose);
  }

  TEST_CASE_FIXTURE(Fixture, "text never reaches Paho") {
    open();
    broker.send_frame(WebSocketPeer::kText, "text");
    CHECK(hear() == "");
    CHECK(contains(end_text(Stage::open), "text frame"));
  }

  TEST_CASE_FIXTURE(Fixture, "a broker that hangs up is told from one that closes") {
    open();
    broker.close();
    CHECK(hear() == "");
    CHECK(contains(end_text(Stage::open), "without closing the WebSocket"));
  }

  TEST_CASE_FIXTURE(Fixture, "a refused upgrade is explained, and its body is not waited for") {
    begin();
    broker.accept();
    static_cast<void>(broker.read_request());
    broker.send("HTTP/1.1 404 Not Found\r\nContent-Length: 1000000000\r\n\r\nnot all of it");
    CHECK(hear() == "");
    CHECK(contains(end_text(Stage::upgrade), "HTTP status 404 Not Found"));
  }

  TEST_CASE_FIXTURE(Fixture, "a port where nobody listens is named with its address") {
    options.port = test::free_port();
    begin();
    CHECK(hear() == "");
    const std::string address = "127.0.0.1:" + std::to_string(options.port);
    CHECK(end_text(Stage::reach) ==
          address + " cannot be reached (" + address + ": Connection refused)");
  }

  TEST_CASE_FIXTURE(Fixture, "a name that is none is said to be unknown") {
    options.host = "broker.plant.invalid";  // RFC 6761: never resolves
    begin();
    CHECK(hear() == "");
    CHECK(contains(end_text(Stage::reach), "the name broker.plant.invalid cannot be resolved"));
  }

  TEST_CASE_FIXTURE(Fixture, "an upgrade without an answer ends with its time") {
    options.connect_timeout = std::chrono::seconds(1);
    begin();
    broker.accept();
    CHECK(hear() == "");
    CHECK(contains(end_text(Stage::upgrade), "within 1 s (MQTT_CONNECT_TIMEOUT)"));
  }

  TEST_CASE_FIXTURE(Fixture, "nothing is waited for at the end") {
    using Clock = std::chrono::steady_clock;
    auto begun = Clock::now();
    SUBCASE("before Paho called") { relay.emplace(options); }
    SUBCASE("in an upgrade") {
      begin();
      broker.accept();
      static_cast<void>(broker.read_request());
      begun = Clock::now();
    }
    SUBCASE("with a broker that does not close") {
      open();
      paho = Fd();
      CHECK(broker.read_frame().opcode == WebSocketPeer::kClose);
      begun = Clock::now();
    }
    SUBCASE("with a broker that takes nothing more") {
      open();
      const std::string much(1 << 16, 'x');
      while (::send(paho.get(), much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
      }
      paho = Fd();
      begun = Clock::now();
    }
    relay.reset();
    CHECK(Clock::now() - begun < std::chrono::seconds(3));
  }

  TEST_CASE_FIXTURE(Fixture, "another process that calls first gets nothing, and Paho is served") {
    relay.emplace(options);
    const std::uint16_t port = relay_port();
    const pid_t other = ::fork();
    REQUIRE(other >= 0);
    if (other == 0) {
      char byte = 0;
      const int socket = call(port);
      ::_exit(socket >= 0 && ::recv(socket, &byte, 1, 0) <= 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(::waitpid(other, &status, 0) == other);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    paho = Fd(call(port));
    broker.upgrade();
    say("it is me");
    CHECK(broker.read_frame().payload == "it is me");
  }

  TEST_CASE_FIXTURE(Fixture, "only the first connection is served") {
    begin();
    broker.upgrade();
    CHECK(eventually([this] { return call(relay_port()) == -1; }));
  }
}

}  // namespace
