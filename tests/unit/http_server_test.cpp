#include "http/http_server.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <boost/system/error_code.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <new>
#include <semaphore>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "http/http_listener.hpp"
#include "http/unix_address.hpp"
#include "m2b/util/thread.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST_SUITE("http_server") {
  const std::string kRequest = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
  /// More than the kernel keeps of a connection on its way.
  constexpr std::size_t kMoreThanBuffers = std::size_t{32} << 20;

  HttpResponse ok(std::string body) { return http_response(200, "text/plain", std::move(body)); }
  HttpResponse echo(const HttpRequest& request) {
    return ok(request.method + " " + request.path + " " + request.body);
  }

  /// Serves until it is destroyed.
  class Server {
   public:
    Server(const HttpLimits& limits, HttpServer::Handler handler)
        : server_(limits, {{"X-Common", "yes"}}, std::move(handler)),
          thread_([this, socket = listen_on_path(path())](const std::stop_token& stop) mutable {
            server_.serve(std::move(socket), stop);
          }) {}

    [[nodiscard]] std::filesystem::path path() const { return dir_.path() / "socket"; }

   private:
    test::TempDir dir_;
    HttpServer server_;
    std::jthread thread_;
  };

  class Client {
   public:
    explicit Client(const Server& server)
        : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      const UnixAddress address(server.path());
      REQUIRE(::connect(socket_.get(), address.get(), address.size()) == 0);
    }

    Client& say(const std::string& text) {
      static_cast<void>(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL));
      return *this;
    }
    /// All that comes until the end.
    std::string hear() {
      std::string heard;
      std::array<char, 65'536> buffer{};
      for (ssize_t count = 1; count > 0;) {
        count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        heard.append(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
      }
      return heard;
    }
    /// The body of the answer; empty where there is none.
    std::string hear_body() {
      const std::string heard = hear();
      const std::size_t head = heard.find("\r\n\r\n");
      return head == std::string::npos ? std::string() : heard.substr(head + 4);
    }
    [[nodiscard]] bool is_cut() const {
      char byte = 0;
      return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }
    void wait_for_first_byte() {
      char byte = 0;
      REQUIRE(::recv(socket_.get(), &byte, 1, MSG_PEEK) == 1);
    }

   private:
    Fd socket_;
  };

  TEST_CASE("a request is answered, however it comes") {
    const Server server({}, echo);
    CHECK(Client(server).say(kRequest).hear() ==
          "HTTP/1.1 200 OK\r\nX-Common: yes\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n"
          "Connection: close\r\n\r\nGET /x ");
    Client slow(server);
    for (const char byte : kRequest) {
      slow.say(std::string(1, byte));
    }
    CHECK(slow.hear_body() == "GET /x ");
  }

  TEST_CASE("a body belongs to its request, what follows does not") {
    const Server server({}, echo);
    const std::string post = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
    CHECK(Client(server).say(post).say("ab").say("cdef").hear_body() == "POST / abc");
    CHECK(Client(server).say(kRequest + kRequest + kRequest).hear_body() == "GET /x ");
  }

  TEST_CASE("the answer to HEAD has the length of a body and none") {
    const Server server({}, [](const HttpRequest&) { return ok("seven by"); });
    const std::string heard = Client(server).say("HEAD / HTTP/1.1\r\n\r\n").hear();
    CHECK(heard.find("Content-Length: 8\r\n") != std::string::npos);
    CHECK(heard.ends_with("\r\n\r\n"));
  }

  TEST_CASE("who waits for 100 Continue is told to go on") {
    const Server server({}, echo);
    Client client(server);
    client.say("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client.wait_for_first_byte();
    const std::string heard = client.say("abc").hear();
    CHECK(heard.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
    CHECK(heard.ends_with("POST / abc"));
  }

  TEST_CASE("however many say little, those who ask are answered at once") {
    const Server server({.workers = 1, .max_connections = 20}, echo);
    std::vector<Client> slow;
    for (int i = 0; i < 100; ++i) {
      slow.emplace_back(server).say("GET ");
    }
    const auto begin = Clock::now();
    CHECK(Client(server).say(kRequest).hear_body() == "GET /x ");
    CHECK(Clock::now() - begin < 1s);
    CHECK(slow.front().hear().empty());  // it has made room
  }

  TEST_CASE("those who do not read do not keep the workers") {
    const std::string large(std::size_t{8} << 20, 'x');
    // On a busy machine so many bytes take longer than a connection usually has.
    const Server server({.workers = 1,
                         .answer_time = 60s,
                         .max_connections = 20,
                         .max_answer_bytes = std::size_t{100} << 20},
                        [&](const HttpRequest&) { return ok(large); });
    std::vector<Client> deaf;
    for (int i = 0; i < 5; ++i) {
      deaf.emplace_back(server).say(kRequest);
    }
    CHECK(Client(server).say(kRequest).hear_body() == large);
    CHECK(deaf.back().hear_body() == large);
  }

  TEST_CASE("who comes while all others are being answered is turned away") {
    std::promise<void> release;
    const std::shared_future<void> released = release.get_future().share();
    std::counting_semaphore<2> started(0);
    const Server server({.workers = 2, .max_connections = 2}, [&](const HttpRequest&) {
      started.release();
      released.wait();
      return ok("late");
    });
    Client first(server);
    Client second(server);
    first.say(kRequest);
    second.say(kRequest);
    started.acquire();
    started.acquire();
    CHECK(Client(server).say(kRequest).hear().empty());
    release.set_value();
    CHECK(first.hear_body() == "late");
    CHECK(second.hear_body() == "late");
  }

  TEST_CASE("answers that nobody reads take limited memory") {
    const std::string large(std::size_t{8} << 20, 'x');
    const Server server({.max_answer_bytes = std::size_t{10} << 20},
                        [&](const HttpRequest&) { return ok(large); });
    Client first(server);
    first.say(kRequest).wait_for_first_byte();  // the answer is being sent
    Client second(server);
    CHECK(second.say(kRequest).hear_body() == large);
    CHECK(first.hear().size() < large.size());
  }

  TEST_CASE("who takes too long is cut, silent, slow or deaf") {
    const Server server({.request_time = 100ms, .answer_time = 100ms},
                        [](const HttpRequest&) { return ok(std::string(kMoreThanBuffers, 'x')); });
    Client silent(server);
    CHECK(silent.hear().empty());
    Client slow(server);
    slow.say("GET /");
    CHECK(slow.hear().empty());
    Client slow_body(server);
    slow_body.say("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(slow_body.hear().empty());
    Client deaf(server);
    deaf.say(kRequest).wait_for_first_byte();
    std::this_thread::sleep_for(300ms);
    CHECK(deaf.hear().size() < kMoreThanBuffers);
  }

  TEST_CASE("the time in which an answer is made is not the client's") {
    std::promise<void> go;
    const Server server({.request_time = 50ms, .answer_time = 50ms},
                        [&](const HttpRequest& request) {
                          go.get_future().wait();
                          return echo(request);
                        });
    Client client(server);
    client.say(kRequest);
    std::this_thread::sleep_for(200ms);
    CHECK_FALSE(client.is_cut());
    go.set_value();
    CHECK(client.hear_body() == "GET /x ");
  }

  TEST_CASE("requests that are too large, or of unknown length, are refused") {
    const Server server({.max_header_bytes = 100, .max_body_bytes = 80}, echo);
    const auto refused = [&](const std::string& request, const std::string& status) {
      const std::string heard = Client(server).say(request).hear();
      CHECK(heard.size() < 300);
      CHECK(heard.find("\r\nX-Common: yes\r\n") != std::string::npos);
      return heard.starts_with("HTTP/1.1 " + status + " ");
    };
    CHECK(refused("GET /" + std::string(100, 'x'), "431"));
    CHECK(refused("POST / HTTP/1.1\r\nContent-Length: 90\r\n\r\n", "413"));
    CHECK(refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"));
    CHECK(refused("nonsense\r\n\r\n", "400"));
  }

  TEST_CASE("who is refused hears why, although it goes on sending") {
    const Server server({.max_body_bytes = 10}, echo);
    Client client(server);
    client.say("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x'));
    CHECK(client.hear().starts_with("HTTP/1.1 413 "));
  }

  TEST_CASE("a handler that throws is answered by 500, without its words") {
    const Server server({.workers = 1}, [](const HttpRequest& request) -> HttpResponse {
      if (request.path == "/memory") {
        throw std::bad_alloc();
      }
      throw std::runtime_error("secret");
    });
    const std::string heard = Client(server).say(kRequest).hear();
    CHECK(heard.starts_with("HTTP/1.1 500 "));
    CHECK(heard.find("secret") == std::string::npos);
    CHECK(Client(server).say("GET /memory HTTP/1.1\r\n\r\n").hear().starts_with("HTTP/1.1 500 "));
  }

  TEST_CASE("an answer with a delay is late, and keeps nobody waiting") {
    const Server server({.workers = 1}, [](const HttpRequest& request) {
      HttpResponse response = ok(request.path);
      response.delay = request.path == "/late" ? 500ms : 0ms;
      return response;
    });
    const auto begin = Clock::now();
    std::vector<Client> late;
    for (int i = 0; i < 10; ++i) {
      late.emplace_back(server).say("GET /late HTTP/1.1\r\n\r\n");
    }
    CHECK(Client(server).say(kRequest).hear_body() == "/x");
    CHECK(Clock::now() - begin < 400ms);
    for (Client& client : late) {
      CHECK(client.hear_body() == "/late");
    }
    CHECK(Clock::now() - begin >= 500ms);
    CHECK(Clock::now() - begin < 4s);  // one after the other they would take 5 s
  }

  TEST_CASE("of answers with a delay only so many wait, the oldest is cut") {
    const Server server({.workers = 1, .max_delayed = 3}, [](const HttpRequest& request) {
      HttpResponse response = ok(request.path);
      response.delay = 500ms;
      return response;
    });
    std::vector<Client> late;
    for (int i = 0; i < 5; ++i) {
      late.emplace_back(server).say(kRequest);
    }
    int answered = 0;
    for (Client& client : late) {
      answered += client.hear_body() == "/x" ? 1 : 0;
    }
    CHECK(answered == 3);
  }

  TEST_CASE("without descriptors it pauses, and goes on when there are some") {
    const Server server({}, echo);
    CHECK(Client(server).say(kRequest).hear_body() == "GET /x ");
    // UndefinedBehaviorSanitizer opens a pipe when it meets a dynamic type for the first time, and
    // takes the object for a broken one where it gets none: so this type is met before.
    CHECK(boost::system::error_code(EMFILE, boost::system::system_category()).failed());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    // These have their descriptors already; accept() gets none.
    std::vector<Fd> sockets;
    for (int i = 0; i < 3; ++i) {
      sockets.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    }
    const UnixAddress address(server.path());
    const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    for (const Fd& socket : sockets) {
      CHECK(::connect(socket.get(), address.get(), address.size()) == 0);
      CHECK(::send(socket.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) > 0);
    }
    std::this_thread::sleep_for(300ms);
    std::array<char, 1024> answer{};
    const ssize_t early = ::recv(sockets[0].get(), answer.data(), answer.size(), MSG_DONTWAIT);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(early < 0);
    for (const Fd& socket : sockets) {
      CHECK(::recv(socket.get(), answer.data(), answer.size(), MSG_WAITALL) > 0);
      CHECK(std::string(answer.data()).starts_with("HTTP/1.1 200 OK"));
    }
    CHECK(Client(server).say(kRequest).hear_body() == "GET /x ");
  }

  TEST_CASE("the end cuts what is open, at once") {
    auto server = std::make_unique<Server>(HttpLimits{}, echo);
    Client silent(*server);
    CHECK(Client(*server).say(kRequest).hear_body() == "GET /x ");
    const auto begin = Clock::now();
    server.reset();
    CHECK(Clock::now() - begin < 1s);
    CHECK(silent.hear().empty());
  }

  TEST_CASE("a stop before it serves is no stop that is missed") {
    const test::TempDir dir;
    HttpServer server({}, {}, echo);
    std::stop_source stop;
    stop.request_stop();
    server.serve(listen_on_path(dir.path() / "socket"), stop.get_token());
  }
}

}  // namespace
