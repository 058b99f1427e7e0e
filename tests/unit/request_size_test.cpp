#include "http/request_size.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

using namespace m2b;

TEST_SUITE("request_size") {
  /// The length, 0 where it is not known yet, -1 where it is refused.
  long length(const std::string& received) {
    const RequestLength length = length_of_request(received);
    if (const auto* const bytes = std::get_if<std::size_t>(&length)) {
      return static_cast<long>(*bytes);
    }
    return std::holds_alternative<LengthUnknown>(length) ? 0 : -1;
  }

  TEST_CASE("a request ends with its head where it has no body") {
    const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    CHECK(length(get) == static_cast<long>(get.size()));
    CHECK(length(get + "more") == static_cast<long>(get.size()));
    for (std::size_t part = 0; part < get.size(); ++part) {
      CHECK(length(get.substr(0, part)) == 0);
    }
  }

  TEST_CASE("a body counts, whatever of it has come") {
    const std::string head = "POST / HTTP/1.1\r\nconTENT-length: \t12 \r\nX: y\r\n\r\n";
    CHECK(length(head) == static_cast<long>(head.size()) + 12);
    CHECK(length(head + "12345") == static_cast<long>(head.size()) + 12);
    CHECK(length("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n") == 38);
  }

  TEST_CASE("a length that is not told beforehand, or in two ways, is refused") {
    const auto with = [](const std::string& lines) {
      return length("POST / HTTP/1.1\r\n" + lines + "\r\n\r\n");
    };
    CHECK(with("Transfer-Encoding: chunked") == -1);
    CHECK(with("Content-Length: 3\r\nTransfer-Encoding: chunked") == -1);
    CHECK(with("Content-Length: 3\r\nContent-Length: 4") == -1);
    CHECK(with("Content-Length: 3\r\nContent-Length: 3") > 0);
    for (const char* const value :
         {"", "-1", "+1", "0x1", "1 2", "1,1", "99999999999999999999", "9223372036854775807"}) {
      CAPTURE(value);
      CHECK(with(std::string("Content-Length: ") + value) == -1);
    }
  }
}

}  // namespace
