#include "http/request_reader.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace {

using namespace m2b;

TEST_SUITE("request_reader") {
  using Progress = RequestReader::Progress;

  constexpr std::size_t kMaxHeader = 8192;
  constexpr std::size_t kMaxBody = 8192;

  /// Given in one piece. 0: more has to come; 200: it is whole.
  int status_of(std::string_view bytes) {
    RequestReader reader(kMaxHeader, kMaxBody);
    switch (reader.take(bytes)) {
      case Progress::incomplete:
        return 0;
      case Progress::complete:
        return 200;
      case Progress::refused:
        break;
    }
    return reader.refusal().status;
  }
  int status_with(const std::string& lines) {
    return status_of("POST / HTTP/1.1\r\n" + lines + "\r\n\r\n");
  }

  TEST_CASE("a request ends with its header where it has no body") {
    const std::string get = "GET /a/b?x=1&y=&z HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n\r\n";
    for (std::size_t part = 0; part < get.size(); ++part) {
      CHECK(status_of(get.substr(0, part)) == 0);
    }
    RequestReader reader(kMaxHeader, kMaxBody);
    REQUIRE(reader.take(get + "more") == Progress::complete);
    const HttpRequest request = std::move(reader).request();
    CHECK(request.method == "GET");
    CHECK(request.path == "/a/b");
    CHECK(request.query == "x=1&y=&z");
    CHECK(request.field("x-y") == "z");
    CHECK(request.field("x").empty());
    CHECK(request.body.empty());
    CHECK(request.parameter("x") == "1");
    CHECK(request.parameter("y") == "");
    CHECK_FALSE(request.parameter("z"));
    CHECK_FALSE(request.parameter(""));
  }

  TEST_CASE("a request is the same, byte by byte") {
    const std::string post = "POST / HTTP/1.1\r\nconTENT-length: \t12 \r\nX: y\r\n\r\nhello, world";
    RequestReader reader(kMaxHeader, kMaxBody);
    for (std::size_t i = 0; i + 1 < post.size(); ++i) {
      REQUIRE(reader.take(post.substr(i, 1)) == Progress::incomplete);
    }
    REQUIRE(reader.take("d") == Progress::complete);
    CHECK(std::move(reader).request().body == "hello, world");
  }

  TEST_CASE("a length that is not told beforehand, or in two ways, is refused") {
    CHECK(status_with("Content-Length: 0") == 200);
    CHECK(status_with("Content-Length: 1") == 0);
    CHECK(status_with("Transfer-Encoding: chunked") == 411);
    CHECK(status_with("Transfer-Encoding: gzip") == 411);
    CHECK(status_with("Transfer-Encoding: chunked, identity") == 411);
    CHECK(status_with("Content-Length: 3\r\nTransfer-Encoding: chunked") >= 400);
    CHECK(status_with("Transfer-Encoding: chunked\r\nContent-Length: 3") >= 400);
    CHECK(status_with("Content-Length: 3\r\nContent-Length: 4") == 400);
    CHECK(status_with("Content-Length: 3\r\nContent-Length: 3") == 400);
    for (const std::string value :
         {"-1", "+1", "0x1", "1 2", "1,1", "1,2", "1, 1", "99999999999999999999"}) {
      CAPTURE(value);
      CHECK(status_with("Content-Length: " + value) == 400);
      CHECK(status_with("Content-Length: " + value + "\r\nX: y\r\n\r\nbody") == 400);
    }
    CHECK(status_with("Content-Length: 9223372036854775807") == 413);
  }

  TEST_CASE("what is no HTTP/1.x is refused") {
    for (const char* const text :
         {"GET /\r\n", "GET / HTTP/0.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n",
          "GET / HTTP/1.1\nHost: x\n\n", "\x16\x03\x01\x02 x\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n"}) {
      CAPTURE(text);
      CHECK(status_of(text) == 400);
    }
    using namespace std::string_view_literals;
    CHECK(status_of("GET /\0 HTTP/1.1\r\n\r\n"sv) == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"sv) == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 200);
  }

  TEST_CASE("sizes are bounded, also of what has not come yet") {
    CHECK(status_of("GET /" + std::string(kMaxHeader, 'x')) == 431);
    CHECK(status_of("GET / HTTP/1.1\r\nX: " + std::string(kMaxHeader, 'x')) == 431);
    CHECK(status_with("Content-Length: 8193") == 413);
    CHECK(status_of("POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + std::string(9000, 'x')) ==
          413);
    CHECK(status_with("Content-Length: 8192") == 0);
    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 200; ++i) {
      many += "a:\r\n";
    }
    CHECK(status_of(many) == 431);
    CHECK(status_of(many + "\r\n") == 431);
  }

  TEST_CASE("a body is never decoded, and who asks is said once") {
    CHECK(status_with("Content-Encoding: br\r\nContent-Length: 3") == 415);
    CHECK(status_with("Content-Encoding: gzip") == 415);
    CHECK(status_with("Content-Encoding: identity") == 200);
    CHECK(status_with("Content-Encoding: identity\r\nContent-Encoding: br") == 415);
    CHECK(status_with("Host: a\r\nHost: b") == 400);
    CHECK(status_with("Authorization: a\r\nAuthorization: b") == 400);
  }

  TEST_CASE("who waits for 100 Continue is known, once") {
    RequestReader reader(kMaxHeader, kMaxBody);
    REQUIRE(reader.take("POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n") ==
            Progress::incomplete);
    CHECK(reader.wants_continue());
    CHECK_FALSE(reader.wants_continue());
    REQUIRE(reader.take("x") == Progress::complete);
  }
}

}  // namespace
