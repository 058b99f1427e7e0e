#include "http/http_client.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>

#include "http/unix_address.hpp"
#include "support/loopback.hpp"
#include "support/scripted_http_server.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST_SUITE("http_client") {
  struct Fixture {
    test::ScriptedHttpServer server;

    auto ask(const HttpRequest& request, const HttpClientLimits& limits) const {
      return ask_http(TcpAddress{"127.0.0.1", server.port()}, request, limits);
    }
    /// Why there is no answer.
    std::string failure(std::chrono::milliseconds time = 10s) const {
      const auto answer = ask({.method = "GET", .path = "/", .query = {}}, {time, 1000});
      const auto* const found = std::get_if<HttpFailure>(&answer);
      return found != nullptr ? found->cause : "";
    }
  };

  TEST_CASE_FIXTURE(Fixture, "a request is sent as it is given, and the answer comes whole") {
    server.answer(404, {{"X-Y", "z"}}, "body");
    const auto answer = ask({.method = "POST",
                             .path = "/a",
                             .query = "b=c",
                             .fields = {{"X-Sent", "1"}},
                             .body = "hello"},
                            {10s, 1000});
    const auto& response = std::get<HttpResponse>(answer);
    CHECK(response.status == 404);
    CHECK(response.field("x-y") == "z");
    CHECK(response.body == "body");
    const auto request = server.request(0);
    CHECK(request.method == "POST");
    CHECK(request.target == "/a?b=c");
    CHECK(request.header("X-Sent") == "1");
    CHECK(request.header("Host") == "127.0.0.1:" + std::to_string(server.port()));
    CHECK(request.body == "hello");
  }

  TEST_CASE_FIXTURE(Fixture, "an answer that is too large, endless or encoded is a failure") {
    server.answer(200, {}, std::string(1001, 'x'));
    CHECK_FALSE(failure().empty());
    server.answer_raw_and_close("HTTP/1.1 200 OK\r\n\r\n" + std::string(200'000, 'x'));
    CHECK_FALSE(failure().empty());
    server.answer_raw("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'));
    CHECK_FALSE(failure().empty());
    std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 100; ++i) {
      chunks += "64;x=" + std::string(50, 'y') + "\r\n" + std::string(100, 'z') + "\r\n";
    }
    server.answer_raw(chunks);
    CHECK_FALSE(failure().empty());
    server.answer_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " +
                      std::string(200'000, 'x'));
    CHECK_FALSE(failure().empty());
    server.answer_raw_and_close(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    CHECK(failure().find("Transfer-Encoding") != std::string::npos);
    server.answer(200, {{"Content-Encoding", "br"}}, "x");
    CHECK(failure().find("encoded") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "time is for the whole answer") {
    server.drip("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
    const auto begin = Clock::now();
    CHECK(failure(300ms) == "the time is over");
    CHECK(Clock::now() - begin < 5s);
    server.stay_silent();
    CHECK(failure(100ms) == "the time is over");
    server.drop();
    CHECK_FALSE(failure().empty());
  }

  TEST_CASE("where too many wait at a Unix socket, one more waits as well") {
    const test::TempDir dir;
    const auto path = dir.path() / "socket";
    const UnixAddress address(path);
    const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), address.get(), address.size()) == 0);
    REQUIRE(::listen(listener.get(), 0) == 0);
    const Fd first(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(first.get(), address.get(), address.size()) == 0);  // nobody accepts it yet
    std::jthread acceptor([&] {
      std::this_thread::sleep_for(100ms);
      const Fd one(::accept(listener.get(), nullptr, nullptr));
      const Fd other(::accept(listener.get(), nullptr, nullptr));
      const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
      CHECK(::send(other.get(), answer.data(), answer.size(), MSG_NOSIGNAL) > 0);
      std::array<char, 1024> request{};
      while (::recv(other.get(), request.data(), request.size(), 0) > 0) {
      }
    });
    const auto answer = ask_http(path, {.method = "GET", .path = "/", .query = {}}, {10s, 1000});
    CHECK(std::holds_alternative<HttpResponse>(answer));
    ::shutdown(listener.get(), SHUT_RDWR);  // should it still be accepted from
  }

  TEST_CASE("nobody there is a failure, on a port and on a path") {
    const HttpRequest request{.method = "GET", .path = "/", .query = {}};
    const test::TempDir dir;
    for (const HttpPeer& peer :
         {HttpPeer(TcpAddress{"127.0.0.1", test::free_port()}), HttpPeer(dir.path() / "socket"),
          HttpPeer(dir.path() / "no" / "folder")}) {
      CHECK(std::holds_alternative<HttpFailure>(ask_http(peer, request, {10s, 1000})));
    }
  }
}

}  // namespace
