#include "upload/pipelined_heads.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "m2b/upload/s3_store.hpp"
#include "support/loopback.hpp"
#include "support/scripted_http_server.hpp"

namespace {

using namespace std::chrono_literals;
using m2b::HeadRound;
using m2b::PipelinedHeads;
using m2b::StoreContext;
using m2b::StoreOptions;
using m2b::test::ScriptedHttpServer;

TEST_SUITE("pipelined heads") {
  std::string head_of(std::size_t length) {
    return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"e{}\"\r\n\r\n", length,
                       length);
  }

  /// So many requests, told apart by their path.
  std::vector<std::string> requests(std::size_t count) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(fmt::format("HEAD /{} HTTP/1.1\r\nHost: store\r\n\r\n", i));
    }
    return all;
  }

  /// A client of heads against a scripted server.
  class Fixture {
   public:
    HeadRound ask(std::size_t count) { return heads_.ask(requests(count), stop_.get_token()); }
    void answer(std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) server_.answer_raw(head_of(i));
    }
    static void check_lengths(const HeadRound& round, std::size_t count) {
      CHECK(round.failure == CURLE_OK);
      REQUIRE(round.answers.size() == count);
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(round.answers[i].content_length == i);
        CHECK(round.answers[i].etag == fmt::format("e{}", i));
      }
    }

    ScriptedHttpServer server_;
    m2b::CurlGlobal curl_;
    StoreOptions options_;
    StoreContext context_{options_};
    PipelinedHeads heads_{fmt::format("http://127.0.0.1:{}", server_.port()), context_};
    std::stop_source stop_;
  };

  TEST_CASE_FIXTURE(Fixture, "answers come in the order of the requests, over one connection") {
    answer(0, 500);
    check_lengths(ask(500), 500);
    for (std::size_t i = 0; i < 500; ++i) {
      const auto request = server_.request(i);
      CHECK(request.method == "HEAD");
      CHECK(request.target == fmt::format("/{}", i));
      CHECK(request.connection == 0);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "nothing asked is nothing answered") {
    check_lengths(ask(0), 0);
    CHECK(server_.request_count() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "the connection is kept for the next round") {
    answer(0, 3);
    check_lengths(ask(3), 3);
    answer(0, 2);
    check_lengths(ask(2), 2);
    CHECK(server_.request(4).connection == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a connection closed between rounds is replaced unnoticed") {
    server_.answer_raw_and_close(head_of(0));
    check_lengths(ask(1), 1);
    server_.wait_until_closed(0);
    answer(0, 2);
    check_lengths(ask(2), 2);
    CHECK(server_.request(1).connection == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "what a closed connection has not answered is asked again") {
    SUBCASE("by a server that just closes") {
      answer(0, 2);
      server_.answer_raw_and_close(head_of(2));
    }
    SUBCASE("by a server that says so") {
      answer(0, 2);
      std::string last = head_of(2);
      last.insert(last.size() - 2, "Connection: close\r\n");
      server_.answer_raw_and_close(last);
    }
    SUBCASE("by a server that closes in the middle of an answer") {
      answer(0, 3);
      server_.answer_raw_and_close("HTTP/1.1 200 O");
    }
    answer(3, 100);
    check_lengths(ask(100), 100);
  }

  TEST_CASE_FIXTURE(Fixture, "a connection that is closed without any answer is a failure") {
    SUBCASE("at once") {
      server_.drop();
      const HeadRound round = ask(3);
      CHECK(round.failure != CURLE_OK);
      CHECK(round.answers.empty());
    }
    SUBCASE("after one that answered some") {
      server_.answer_raw_and_close(head_of(0));
      server_.drop();
      const HeadRound round = ask(3);
      CHECK(round.failure != CURLE_OK);
      CHECK(round.answers.size() == 1);
    }
    answer(0, 3);  // and the next round begins anew
    check_lengths(ask(3), 3);
  }

  TEST_CASE_FIXTURE(Fixture, "what is not HTTP, or more than was asked for, is a failure") {
    SUBCASE("another protocol") { server_.answer_raw("SSH-2.0-OpenSSH_9.2p1\r\n\r\n"); }
    SUBCASE("a body") {
      server_.answer_raw("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nbody");
    }
    SUBCASE("an answer too many") { server_.answer_raw(head_of(0) + head_of(1)); }
    SUBCASE("a head without end") { server_.answer_raw(std::string(100'000, 'x')); }
    CHECK(ask(1).failure == CURLE_WEIRD_SERVER_REPLY);
    server_.answer_raw(head_of(0));
    check_lengths(ask(1), 1);  // over a new connection
  }

  TEST_CASE_FIXTURE(Fixture, "a server that does not answer in time is given up") {
    options_.connect_timeout = 100ms;
    options_.stall_timeout = 1s;
    SUBCASE("silent") { server_.stay_silent(); }
    SUBCASE("dripping") { server_.drip("HTTP/1.1 200 OK\r\nX-Drip: "); }
    CHECK(ask(3).failure == CURLE_OPERATION_TIMEDOUT);
  }

  TEST_CASE_FIXTURE(Fixture, "a request to stop ends a silent round soon") {
    server_.stay_silent();
    auto round = std::async(std::launch::async, [this] { return ask(3); });
    static_cast<void>(server_.request(0));
    const auto asked = std::chrono::steady_clock::now();
    stop_.request_stop();
    CHECK(round.get().failure == CURLE_ABORTED_BY_CALLBACK);
    CHECK(std::chrono::steady_clock::now() - asked < 5s);  // far below the stall timeout
  }

  TEST_CASE("a server that is not there is a failure with its reason") {
    const m2b::CurlGlobal curl;
    const StoreOptions options;
    StoreContext context(options);
    PipelinedHeads heads(fmt::format("http://127.0.0.1:{}", m2b::test::free_port()), context);
    const HeadRound round = heads.ask(requests(1), {});
    CHECK(round.failure == CURLE_COULDNT_CONNECT);
    CHECK_FALSE(round.failure_text.empty());
  }
}

}  // namespace
