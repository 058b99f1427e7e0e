#include "upload/head_answer.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using m2b::parse_head_answer;

TEST_SUITE("answer to a HEAD") {
  TEST_CASE("size and ETag are read, whatever stands around them") {
    const auto answer = parse_head_answer(
        "HTTP/1.1 200 OK\r\nServer: MinIO\r\ncontent-length:  123\r\nEtag: \"abc\" \r\n"
        "X-Amz-Meta-Mqtt_topic: a:b\r\nContent-Type: image/png\r\nEmpty:");
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->content_length == 123);
    CHECK(answer->etag == "abc");
    CHECK(answer->content_type == "image/png");
    CHECK(answer->metadata ==
          std::vector<std::pair<std::string, std::string>>{{"mqtt_topic", "a:b"}});
    CHECK(answer->code.empty());
    CHECK_FALSE(answer->last);
  }

  TEST_CASE("a refusal tells its code, and that the connection ends") {
    const auto answer = parse_head_answer(
        "HTTP/1.1 403 Forbidden\r\nx-minio-error-code: AccessDenied\r\nConnection: Close");
    REQUIRE(answer);
    CHECK(answer->status == 403);
    CHECK_FALSE(answer->content_length);
    CHECK(answer->etag.empty());
    CHECK(answer->code == "AccessDenied");
    CHECK(answer->last);
  }

  TEST_CASE("a server of HTTP/1.0 closes, and a reason is not needed") {
    CHECK(parse_head_answer("HTTP/1.0 200 OK")->last);
    CHECK(parse_head_answer("HTTP/1.1 404")->status == 404);
    CHECK(parse_head_answer("HTTP/1.1 404 ")->status == 404);
  }

  TEST_CASE("an ETag that is weak, empty or without quotes is none") {
    for (const std::string_view odd : {"W/\"abc\"", "\"\"", "abc", "\"abc", "\"", "\"a\"b\"", ""}) {
      CAPTURE(odd);
      CHECK(parse_head_answer(std::string("HTTP/1.1 200 OK\r\nETag: ").append(odd))->etag.empty());
    }
  }

  TEST_CASE("the store's checksum is read") {
    CHECK(parse_head_answer("HTTP/1.1 200 OK\r\nX-Amz-Checksum-Sha256: q=")->sha256 == "q=");
  }

  TEST_CASE("what is compressed is not believed, nor is more metadata than we ever put") {
    CHECK(parse_head_answer("HTTP/1.1 200 OK\r\nContent-Encoding: identity"));
    CHECK_FALSE(parse_head_answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip"));
    std::string much = "HTTP/1.1 200 OK";
    for (int i = 0; i < 64; ++i) much += "\r\nx-amz-meta-: 1";
    CHECK(parse_head_answer(much));
    CHECK_FALSE(parse_head_answer(much + "\r\nx-amz-meta-: 1"));
  }

  TEST_CASE("what is no final answer of HTTP/1 is none") {
    for (const std::string_view odd :
         {"", "SSH-2.0-OpenSSH_9.2p1", "HTTP/2 200", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20 OK",
          "HTTP/1.1 2000 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 100 Continue", "HTTP/1.1 600 Odd",
          "HTTP/1.1200 OK", "http/1.1 200 OK"}) {
      CAPTURE(odd);
      CHECK_FALSE(parse_head_answer(odd));
    }
  }

  TEST_CASE("headers that are none or contradict one another are not believed") {
    for (const std::string_view odd :
         {"no colon", ": no name", "Content-Length: ", "Content-Length: -1", "Content-Length: 1x",
          "Content-Length: 99999999999999999999999", "Content-Length: 1\r\nContent-Length: 1",
          "ETag: \"a\"\r\nETag: \"b\"", "ETag: W/\"a\"\r\nETag: \"a\"",
          "x-amz-checksum-sha256: a\r\nx-amz-checksum-sha256: b", "Name : value", " folded: line",
          "A: b\nETag: c", "A: b\r\n\r\nB: c"}) {
      CAPTURE(odd);
      CHECK_FALSE(parse_head_answer(std::string("HTTP/1.1 200 OK\r\n").append(odd)));
    }
  }
}

}  // namespace
