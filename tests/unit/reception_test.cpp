#include "http/reception.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST_SUITE("reception") {
  const std::string kRequest = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";

  /// A client of the reception, over a pair of sockets.
  class Client {
   public:
    explicit Client(Reception& reception) {
      std::array<int, 2> pair{};
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
      socket_ = Fd(pair[0]);
      reception.admit(Fd(pair[1]));
    }

    Client& say(const std::string& text) {
      static_cast<void>(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL));
      return *this;
    }
    /// All that comes until the end.
    std::string hear() {
      std::string heard;
      std::array<char, 4096> buffer{};
      for (ssize_t count = 1; count > 0;) {
        count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        heard.append(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
      }
      return heard;
    }
    [[nodiscard]] bool is_cut() const {
      char byte = 0;
      return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }
    Fd& socket() { return socket_; }

   private:
    Fd socket_;
  };

  std::string echo(const std::string& request) { return "answer to " + request; }

  TEST_CASE("a request is answered, however it comes") {
    Reception reception({}, echo);
    CHECK(Client(reception).say(kRequest).hear() == "answer to " + kRequest);
    Client slow(reception);
    for (const char byte : kRequest) {
      slow.say(std::string(1, byte));
    }
    CHECK(slow.hear() == "answer to " + kRequest);
  }

  TEST_CASE("a body belongs to its request, what follows does not") {
    Reception reception({}, echo);
    const std::string post = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
    CHECK(Client(reception).say(post).say("ab").say("cdef").hear() == "answer to " + post + "abc");
  }

  TEST_CASE("however many say little, those who ask are answered at once") {
    Reception reception({.workers = 1, .max_connections = 20}, echo);
    std::vector<Client> slow;
    for (int i = 0; i < 100; ++i) {
      slow.emplace_back(reception).say("GET ");
    }
    const auto begin = Clock::now();
    CHECK(Client(reception).say(kRequest).hear() == "answer to " + kRequest);
    CHECK(Clock::now() - begin < 1s);
    CHECK(slow.front().hear().empty());  // it has made room
  }

  TEST_CASE("those who do not read do not keep the workers") {
    const std::string large(std::size_t{8} << 20, 'x');
    // On a busy machine so many bytes take longer than a connection usually has.
    Reception reception({.workers = 1,
                         .connection_time = 60s,
                         .max_connections = 20,
                         .max_answer_bytes = 100 << 20},
                        [&](const std::string&) { return std::string(large); });
    std::vector<Client> deaf;
    for (int i = 0; i < 5; ++i) {
      deaf.emplace_back(reception).say(kRequest);
    }
    CHECK(Client(reception).say(kRequest).hear() == large);
    CHECK(deaf.back().hear() == large);
  }

  TEST_CASE("who comes while all others are being answered is turned away") {
    std::promise<void> release;
    const std::shared_future<void> released = release.get_future().share();
    std::counting_semaphore<2> started(0);
    Reception reception({.workers = 2, .max_connections = 2}, [&](const std::string&) {
      started.release();
      released.wait();
      return std::string("late");
    });
    Client first(reception);
    Client second(reception);
    first.say(kRequest);
    second.say(kRequest);
    started.acquire();
    started.acquire();
    CHECK(Client(reception).say(kRequest).hear().empty());
    release.set_value();
    CHECK(first.hear() == "late");
    CHECK(second.hear() == "late");
  }

  TEST_CASE("answers that nobody reads take limited memory") {
    const std::string large(std::size_t{8} << 20, 'x');
    Reception reception({.max_answer_bytes = std::size_t{10} << 20},
                        [&](const std::string&) { return std::string(large); });
    Client first(reception);
    first.say(kRequest);
    char byte = 0;
    REQUIRE(::recv(first.socket().get(), &byte, 1, 0) == 1);  // the answer is being sent
    Client second(reception);
    CHECK(second.say(kRequest).hear() == large);
    CHECK(first.hear().size() < large.size());
  }

  TEST_CASE("who takes too long is cut, silent, slow or deaf") {
    Reception reception({.connection_time = 100ms},
                        [](const std::string&) { return std::string(std::size_t{8} << 20, 'x'); });
    Client silent(reception);
    CHECK(silent.hear().empty());
    Client slow(reception);
    slow.say("GET /");
    CHECK(slow.hear().empty());
    Client deaf(reception);
    deaf.say(kRequest);
    std::this_thread::sleep_for(300ms);
    CHECK(deaf.hear().size() < std::size_t{8} << 20);
  }

  TEST_CASE("the time in which an answer is made is not the client's") {
    std::promise<void> go;
    Reception reception({.connection_time = 50ms}, [&](const std::string& request) {
      go.get_future().wait();
      return echo(request);
    });
    Client client(reception);
    client.say(kRequest);
    std::this_thread::sleep_for(200ms);
    CHECK_FALSE(client.is_cut());
    go.set_value();
    CHECK(client.hear() == "answer to " + kRequest);
  }

  TEST_CASE("requests that are too large, or of unknown length, are refused") {
    Reception reception({.max_request_bytes = 100}, echo);
    CHECK(Client(reception).say(std::string(101, 'x')).hear().empty());
    CHECK(Client(reception).say("POST / HTTP/1.1\r\nContent-Length: 90\r\n\r\n").hear().empty());
    CHECK(Client(reception)
              .say("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
              .hear()
              .starts_with("HTTP/1.1 411 "));
  }

  TEST_CASE("the end cuts what is open, at once") {
    auto reception = std::make_unique<Reception>(HttpLimits{}, echo);
    Client silent(*reception);
    const auto begin = Clock::now();
    reception.reset();
    CHECK(Clock::now() - begin < 1s);
    CHECK(silent.hear().empty());
  }
}

}  // namespace
