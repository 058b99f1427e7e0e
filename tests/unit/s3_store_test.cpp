#include "m2b/upload/s3_store.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "support/put_meaning.hpp"
#include "support/s3_error.hpp"
#include "support/scripted_http_server.hpp"
#include "support/store_options.hpp"
#include "upload/digest.hpp"
#include "upload/sigv4.hpp"

namespace {

using namespace std::chrono_literals;
using m2b::Metadata;
using m2b::Object;
using m2b::ObjectKey;
using m2b::PutOutcome;
using m2b::PutResult;
using m2b::S3Store;
using m2b::Scope;
using m2b::StoreContext;
using m2b::StoreOptions;
using m2b::test::meaning;
using m2b::test::s3_error;
using m2b::test::ScriptedHttpServer;
using Request = ScriptedHttpServer::Request;
using Headers = ScriptedHttpServer::Headers;

TEST_SUITE("S3 store") {
  constexpr std::string_view kLocation =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";

  /// By an ETag that is the MD5 of the body.
  Headers proof(std::string_view body = "picture") {
    return {{"ETag", fmt::format("\"{}\"", m2b::md5_hex(body).value())}};
  }

  Object object(std::string_view image_id, std::string body = "picture", Metadata metadata = {}) {
    return {std::get<ObjectKey>(ObjectKey::from_image_id(image_id)), std::move(body), "image/jpeg",
            std::move(metadata)};
  }

  std::string http_date(std::chrono::sys_seconds time) {
    return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
  }

  std::chrono::sys_seconds now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  }

  /// The time with which a request was signed.
  std::chrono::sys_seconds signing_time(const Request& request) {
    const std::string text = request.header("x-amz-date");  // 20130524T000000Z
    REQUIRE(text.size() == 16);
    const auto number = [&text](std::size_t at, std::size_t digits) {
      return std::stoi(text.substr(at, digits));
    };
    const std::chrono::year_month_day date{std::chrono::year{number(0, 4)},
                                           std::chrono::month{static_cast<unsigned>(number(4, 2))},
                                           std::chrono::day{static_cast<unsigned>(number(6, 2))}};
    return std::chrono::sys_days{date} + std::chrono::hours{number(9, 2)} +
           std::chrono::minutes{number(11, 2)} + std::chrono::seconds{number(13, 2)};
  }

  /// A store client against a scripted server.
  class Fixture {
   public:
    PutResult put(const Object& what) { return store_.put(what, stop_.get_token()); }
    PutResult ensure_bucket() { return store_.ensure_bucket(stop_.get_token()); }

    /// What a server with the same secret would expect as the request's Authorization.
    [[nodiscard]] std::string expected_authorization(const Request& request) const {
      const std::size_t query = request.target.find('?');
      const std::string path = request.target.substr(0, query);
      const std::string parameters =
          query == std::string::npos ? "" : request.target.substr(query + 1);
      const std::string hash = request.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
                                   ? "UNSIGNED-PAYLOAD"
                                   : m2b::sha256_hex(request.body);
      m2b::SigningRequest signing{request.method, path, parameters, {}, hash};
      for (const auto& [name, value] : request.headers) {
        if (name == "Host" || name == "Content-Type" || name == "x-amz-checksum-sha256" ||
            name.starts_with("x-amz-meta-")) {
          signing.headers.emplace_back(name, value);
        }
      }
      const auto added = m2b::RequestSigner({"key-id", "secret", options_.region})
                             .sign(signing, signing_time(request));
      return added.back().second;
    }

    ScriptedHttpServer server_;
    StoreOptions options_ = m2b::test::store_options(server_.port());
    m2b::CurlGlobal curl_;
    StoreContext context_{options_};
    S3Store store_{context_};
    std::stop_source stop_;
  };

  TEST_CASE_FIXTURE(Fixture, "an object goes out as one signed PUT with its headers") {
    server_.store();
    const PutResult result =
        put(object("cam_1", "bytes of a picture", {{"timestamp_ms", "5"}, {"image_id", "cam_1"}}));
    CHECK(result.outcome == PutOutcome::stored);
    CHECK(result.http_status == 200);
    CHECK(result.code.empty());

    const Request request = server_.request(0);
    CHECK(request.method == "PUT");
    CHECK(request.target == "/pictures/cam_1.jpg");
    CHECK(request.body == "bytes of a picture");
    CHECK(request.header("Host") == fmt::format("127.0.0.1:{}", server_.port()));
    CHECK(request.header("Content-Type") == "image/jpeg");
    CHECK(request.header("Content-Length") == "18");
    CHECK(request.header("x-amz-meta-timestamp_ms") == "5");
    CHECK(request.header("x-amz-meta-image_id") == "cam_1");
    CHECK(request.header("x-amz-content-sha256") == m2b::sha256_hex("bytes of a picture"));
    CHECK(request.header("User-Agent").starts_with("mqtt-to-blob/"));
    CHECK(request.header("Expect").empty());
    CHECK(request.header("Transfer-Encoding").empty());
    CHECK(request.header("Authorization") == expected_authorization(request));
    CHECK(request.header("Authorization")
              .find("SignedHeaders=content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;"
                    "x-amz-date;"
                    "x-amz-meta-image_id;x-amz-meta-timestamp_ms,") != std::string::npos);
    CHECK(signing_time(request) >= now() - 60s);
    CHECK(signing_time(request) <= now());
    CHECK(server_.request_count() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "an empty object is stored") {
    server_.store();
    CHECK(put(object("empty", "")).outcome == PutOutcome::stored);
    const Request request = server_.request(0);
    CHECK(request.header("Content-Length") == "0");
    CHECK(request.body.empty());
    CHECK(request.header("x-amz-content-sha256") == m2b::sha256_hex(""));
  }

  TEST_CASE_FIXTURE(Fixture, "a large object arrives whole and without a pause for Expect") {
    server_.store();
    std::string body;
    for (std::size_t i = 0; i < 5'000'000; ++i) body += static_cast<char>(i * 7 % 251);
    CHECK(put(object("large", body)).outcome == PutOutcome::stored);
    const Request request = server_.request(0);
    const bool same = request.body == body;  // no dump of 5 MB should it fail
    CHECK(same);
    CHECK(request.header("Expect").empty());
  }

  TEST_CASE_FIXTURE(Fixture, "a small object goes out together with its head") {
    CHECK(put(object("small", std::string(8000, 'p'))).outcome == PutOutcome::stored);
    CHECK(server_.request(0).body_bytes_with_head == 8000);
  }

  TEST_CASE_FIXTURE(Fixture, "small and large objects and questions take turns") {
    const std::string large(100'000, 'L');
    for (int round = 0; round < 2; ++round) {
      CHECK(put(object("small")).outcome == PutOutcome::stored);
      CHECK(put(object("large", large)).outcome == PutOutcome::stored);
      server_.answer(200, {}, kLocation);
      CHECK(ensure_bucket().outcome == PutOutcome::stored);
    }
    for (std::size_t i = 0; i < 6; i += 3) {
      CHECK(server_.request(i).method == "PUT");
      CHECK(server_.request(i).body == "picture");
      CHECK(server_.request(i + 1).method == "PUT");
      const bool same = server_.request(i + 1).body == large;
      CHECK(same);
      CHECK(server_.request(i + 2).method == "GET");
      CHECK(server_.request(i + 2).body.empty());
      CHECK(server_.request(i + 2).header("Content-Type").empty());
    }
  }

  TEST_CASE_FIXTURE(Fixture, "keys are encoded on the wire as they are signed") {
    const std::string id = "a b+c=d%e&f?g\\h#i/Größe/..x";
    CHECK(put(object(id)).outcome == PutOutcome::stored);
    const Request request = server_.request(0);
    CHECK(request.target == "/pictures/a%20b%2Bc%3Dd%25e%26f%3Fg%5Ch%23i/Gr%C3%B6%C3%9Fe/..x.jpg");
    CHECK(request.header("Authorization") == expected_authorization(request));
  }

  TEST_CASE_FIXTURE(Fixture, "the connection is kept for the next object") {
    server_.store();
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    server_.store();
    CHECK(put(object("2", "")).outcome == PutOutcome::stored);
    server_.answer(200, {}, kLocation);
    CHECK(ensure_bucket().outcome == PutOutcome::stored);  // a GET in between
    CHECK(put(object("3")).outcome == PutOutcome::stored);
    for (std::size_t i = 0; i < 4; ++i) CHECK(server_.request(i).connection == 0);
    CHECK(server_.request(3).body == "picture");
  }

  TEST_CASE_FIXTURE(Fixture, "a connection closed between requests is replaced unnoticed") {
    server_.answer_and_close(200, proof());
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    server_.wait_until_closed(0);
    CHECK(put(object("2")).outcome == PutOutcome::stored);
    CHECK(server_.request(1).connection == 1);
    CHECK(server_.request(1).body == "picture");
  }

  TEST_CASE_FIXTURE(
      Fixture, "a kept connection that dies under a request is replaced, the body sent again") {
    server_.store();
    server_.drop();
    server_.store();
    std::string body = "the whole body";
    SUBCASE("that went out with its head") {}
    SUBCASE("that went out behind its head") { body.resize(100'000, 'b'); }
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(put(object("2", body)).outcome == PutOutcome::stored);
    CHECK(server_.request(1).connection == 0);
    CHECK(server_.request(2).connection == 1);
    const bool same = server_.request(2).body == body;
    CHECK(same);
  }

  TEST_CASE_FIXTURE(Fixture, "the checksum goes out, and the store's echo of it is the proof") {
    server_.store();
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    const Request request = server_.request(0);
    const std::string_view bytes = "picture";
    CHECK(request.header("x-amz-checksum-sha256") ==
          m2b::base64(m2b::sha256(std::span(&bytes, 1))));
    CHECK(request.header("Accept-Encoding") == "identity");
    CHECK(request.header("x-amz-meta-sha256").empty());
  }

  TEST_CASE_FIXTURE(Fixture, "an echo counts once the store has refused a wrong checksum") {
    const Headers encrypted{{"ETag", "\"of-encrypted-bytes\""}};
    for (int request = 0; request < 3; ++request) server_.store(encrypted);
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request(1).target == "/pictures/1.jpg");
    CHECK(server_.request(1).body == "picture");
    CHECK(server_.request(1).header("x-amz-checksum-sha256") !=
          server_.request(0).header("x-amz-checksum-sha256"));
    CHECK(server_.request(1).header("Authorization") == expected_authorization(server_.request(1)));
    CHECK(put(object("2")).outcome == PutOutcome::stored);  // over the same connection
    CHECK(server_.request_count() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "who sends the checksum back and computes none proves nothing") {
    const std::string_view bytes = "picture";
    const std::string right = m2b::base64(m2b::sha256(std::span(&bytes, 1)));
    const Headers mirrored{{"ETag", "\"65f0a1b2-7\""}, {"x-amz-checksum-sha256", right}};
    SUBCASE("from the start") {}
    SUBCASE("over a new connection") {
      server_.answer_and_close(200, {{"ETag", proof().front().second}, mirrored.back()});
      CHECK(put(object("0")).outcome == PutOutcome::stored);
    }
    for (int request = 0; request < 3; ++request) server_.answer(200, mirrored);
    server_.answer_raw("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"65f0a1b2-7\"\r\n\r\n");
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path, needs a person");
    CHECK(result.code == "unproven");
  }

  TEST_CASE_FIXTURE(Fixture, "an echo is no proof while the store is too busy to refuse") {
    server_.store({{"ETag", "\"of-encrypted-bytes\""}});
    server_.answer(503);
    CHECK(meaning(put(object("1"))) == "store");
    CHECK(server_.request_count() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a store that does not know the checksum proves by the MD5") {
    server_.answer(200, proof());
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request_count() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a success that proves nothing is not believed") {
    const std::string etag = proof().front().second;
    SUBCASE("of a captive portal") {
      server_.answer(200, {{"Content-Type", "text/html"}, {"Server", "nginx/1.22.1"}},
                     "<html>Please log in to this network</html>");
    }
    SUBCASE("of a cache") { server_.answer(200, {proof().front(), {"Age", "30"}}); }
    SUBCASE("of an echo service") {
      server_.answer(200, {proof().front(), {"X-Amz-Date", "20260101T000000Z"}});
    }
    SUBCASE("with a weak ETag") { server_.answer(200, {{"ETag", "W/" + etag}}); }
    SUBCASE("with an empty ETag") { server_.answer(200, {{"ETag", "\"\""}}); }
    SUBCASE("with nothing as its ETag") { server_.answer(200, {{"ETag", ""}}); }
    SUBCASE("without content") {
      server_.answer_raw("HTTP/1.1 204 No\r\nETag: " + etag + "\r\n\r\n");
    }
    SUBCASE("created") { server_.answer(201, proof()); }
    SUBCASE("with an error") { server_.answer(200, proof(), s3_error("InternalError")); }
    SUBCASE("with an error of this object") {
      server_.answer(200, proof(), s3_error("KeyTooLongError"));
    }
    SUBCASE("with two lengths") {
      server_.answer_raw_and_close(
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 0\r\nETag: " + etag +
          "\r\n\r\n");
    }
    SUBCASE("with two ETags") { server_.answer(200, {{"ETag", etag}, {"ETag", "\"other\""}}); }
    SUBCASE("chunked, with a length") {
      server_.answer_raw_and_close(
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
          "ETag: " +
          etag + "\r\n\r\n0\r\n\r\n");
    }
    SUBCASE("in malformed chunks") {
      server_.answer_raw_and_close(
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: " + etag + "\r\n\r\nzz\r\n\r\n");
    }
    SUBCASE("compressed") {
      server_.answer(200, {{"ETag", etag}, {"Content-Encoding", "gzip"}}, "\x1f\x8b");
    }
    SUBCASE("compressed for transport") {
      server_.answer_raw_and_close("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nETag: " + etag +
                                   "\r\n\r\n");
    }
    SUBCASE("without an end") { server_.answer(200, proof(), std::string(5'000'000, 'x')); }
    SUBCASE("whose head breaks off") {
      server_.answer_raw_and_close("HTTP/1.1 200 OK\r\nETag: " + etag + "\r\nX-");
    }
    const PutResult result = put(object("1"));
    CAPTURE(result.code);
    CAPTURE(result.detail);
    CHECK(result.outcome == PutOutcome::refused);
    CHECK(result.scope == Scope::path);  // never the object
  }

  TEST_CASE_FIXTURE(Fixture, "what answered in place of the store is told, and what to do") {
    server_.answer(200, {{"Content-Type", "text/html"}, {"Server", "nginx/1.22.1"}}, "<html>");
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path, needs a person");
    CHECK(result.code == "not_s3");
    CHECK(result.http_status == 200);
    CHECK(result.detail.find("nginx/1.22.1") != std::string::npos);
    CHECK(result.detail.find("text/html") != std::string::npos);
    CHECK(result.detail.find("MINIO_URL") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "after a stranger's answer no object goes before the bucket was seen") {
    server_.answer(200);  // no ETag
    CHECK(put(object("1")).code == "not_s3");
    server_.answer(200, {}, "<html>");
    CHECK(put(object("1")).code == "not_s3");
    server_.answer(503, {}, s3_error("SlowDown"));
    CHECK(put(object("1")).code == "SlowDown");
    CHECK(server_.request(1).method == "GET");
    CHECK(server_.request(2).method == "GET");
    SUBCASE("by its location") { server_.answer(200, {}, kLocation); }
    SUBCASE("by a refusal to tell it") { server_.answer(403, {}, s3_error("AccessDenied")); }
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(put(object("2")).outcome == PutOutcome::stored);
    CHECK(server_.request_count() == 6);
    CHECK(server_.request(4).target == "/pictures/1.jpg");
    CHECK(server_.request(5).target == "/pictures/2.jpg");
  }

  TEST_CASE_FIXTURE(Fixture, "after a stranger's answer only a store's own words are believed") {
    server_.answer(200);  // no ETag
    CHECK(put(object("1")).code == "not_s3");
    bool is_store = false;
    SUBCASE("a refusal that we do not know") {
      server_.answer(400, {}, s3_error("NeverHeardOf"));
      is_store = true;
    }
    SUBCASE("an argument that the store does not like") {
      server_.answer(400, {}, s3_error("InvalidArgument"));
      is_store = true;
    }
    SUBCASE("a code of objects, which is not about the one to be put") {
      server_.answer(400, {}, s3_error("XMinioInvalidResourceName"));
      is_store = true;
    }
    SUBCASE("a page") { server_.answer(400, {}, "<html>"); }
    SUBCASE("a page about sizes") { server_.answer(413, {}, "<html>"); }
    SUBCASE("a page about rights") { server_.answer(403, {}, "<html>"); }
    SUBCASE("a right that we do not know") { server_.answer(403, {}, s3_error("NeverHeardOf")); }
    SUBCASE("a missing key") { server_.answer(403, {}, s3_error("InvalidAccessKeyId")); }
    SUBCASE("an error of the store") { server_.answer(500, {}, s3_error("InternalError")); }
    CHECK(put(object("1")).outcome == (is_store ? PutOutcome::stored : PutOutcome::refused));
    CHECK(server_.request(1).method == "GET");
    CHECK(context_.proof.is_doubted() != is_store);
  }

  /// As a store answers to a HEAD.
  std::string head(std::string_view etag, std::size_t size, const Headers& headers) {
    std::string text =
        fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: {}\r\n", size, etag);
    for (const auto& [name, value] : headers) text += fmt::format("{}: {}\r\n", name, value);
    return text + "\r\n";
  }
  std::string digest(std::string_view bytes) {
    return m2b::base64(m2b::sha256(std::span(&bytes, 1)));
  }

  TEST_CASE_FIXTURE(Fixture, "a store that proves nothing by its answer is asked by HEAD") {
    const Headers foreign{{"ETag", "\"of-encrypted-bytes\""}};
    server_.answer(200, foreign);
    server_.answer(200, foreign);
    server_.answer_raw(
        head("\"of-encrypted-bytes\"", 7, {{"X-Amz-Meta-Sha256", digest("picture")}}));
    server_.answer(206, {}, "picture");
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request(3).method == "GET");
    CHECK(server_.request(3).header("Range") == "bytes=0-6");
    CHECK(server_.request(0).header("x-amz-meta-sha256").empty());
    CHECK(server_.request(1).header("x-amz-meta-sha256") == digest("picture"));
    CHECK(server_.request(1).header("Authorization") == expected_authorization(server_.request(1)));
    CHECK(server_.request(2).method == "HEAD");
    CHECK(server_.request(2).target == "/pictures/1.jpg");
    CHECK(server_.request(2).header("x-amz-checksum-mode") == "ENABLED");

    server_.answer(200, foreign);  // from now on at once
    server_.answer_raw(
        head("\"of-encrypted-bytes\"", 7, {{"X-Amz-Meta-Sha256", digest("picture")}}));
    CHECK(put(object("2")).outcome == PutOutcome::stored);
    CHECK(server_.request_count() == 6);
  }

  TEST_CASE_FIXTURE(Fixture, "a HEAD that lies or is refused proves nothing") {
    const Headers foreign{{"ETag", "\"foreign\""}};
    server_.answer(200, foreign);
    server_.answer(200, foreign);
    SUBCASE("as a web server's") { server_.answer_raw(head("\"foreign\"", 7, {})); }
    SUBCASE("an older object's") {
      server_.answer_raw(head("\"older\"", 7, {{"X-Amz-Meta-Sha256", digest("picture")}}));
    }
    SUBCASE("of other bytes") {
      server_.answer_raw(head("\"foreign\"", 7, {{"X-Amz-Meta-Sha256", digest("other")}}));
    }
    SUBCASE("of another size") {
      server_.answer_raw(head("\"foreign\"", 8, {{"X-Amz-Meta-Sha256", digest("picture")}}));
    }
    SUBCASE("refused") { server_.answer_raw("HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\n"); }
    SUBCASE("of who keeps the head and not the bytes") {
      server_.answer_raw(head("\"foreign\"", 7, {{"X-Amz-Meta-Sha256", digest("picture")}}));
      SUBCASE("but none") { server_.answer(200, {}, {}); }
      SUBCASE("but others") { server_.answer(206, {}, "pictur."); }
      SUBCASE("but a page") { server_.answer(404, {}, "<html></html>"); }
    }
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path, needs a person");
    CHECK(result.code == "unproven");
    CHECK(context_.proof.is_doubted());
  }

  TEST_CASE_FIXTURE(Fixture, "a store that refuses the checksum is not sent it any more") {
    server_.answer(400, {}, s3_error("InvalidArgument"));
    server_.answer(200, proof());
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request(1).header("x-amz-checksum-sha256").empty());
    CHECK(server_.request(1).header("Authorization") == expected_authorization(server_.request(1)));
    server_.answer(200, proof());
    CHECK(put(object("2")).outcome == PutOutcome::stored);
    CHECK(server_.request_count() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "a store that echoes the checksum need not hash the payload as well") {
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(put(object("2")).outcome == PutOutcome::stored);
    CHECK(server_.request(0).header("x-amz-content-sha256") == m2b::sha256_hex("picture"));
    const Request second = server_.request(1);
    CHECK(second.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD");
    CHECK(second.header("Authorization") == expected_authorization(second));
    CHECK(second.header("Authorization").find(";x-amz-checksum-sha256;") != std::string::npos);

    server_.answer(403, {}, s3_error("AccessDenied"));  // a policy wants it
    CHECK(put(object("3")).outcome == PutOutcome::stored);
    CHECK(put(object("4")).outcome == PutOutcome::stored);
    for (const std::size_t index : {3U, 4U}) {
      CHECK(server_.request(index).header("x-amz-content-sha256") == m2b::sha256_hex("picture"));
    }
    CHECK(server_.request_count() == 5);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal that is not about the checksum stays what it is") {
    server_.answer(400, {}, s3_error("InvalidArgument"));
    server_.answer(400, {}, s3_error("InvalidArgument"));
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "ambiguous, may be the object's fault");
    CHECK(result.code == "InvalidArgument");
    CHECK(put(object("2")).outcome == PutOutcome::stored);  // which the store echoes
    server_.answer(400, {}, s3_error("InvalidArgument"));
    CHECK(put(object("1")).code == "InvalidArgument");  // believed at once, for a while
    CHECK(server_.request_count() == 4);
    CHECK_FALSE(server_.request(3).header("x-amz-checksum-sha256").empty());
  }

  TEST_CASE_FIXTURE(Fixture, "what an answer may take is bounded, wherever it goes on") {
    const std::string much(400'000, 'x');
    std::string many_lines;
    for (int i = 0; i < 20'000; ++i) many_lines += "X-Header-Or-Trailer: 1\r\n";
    std::string interim;
    for (int i = 0; i < 20'000; ++i) interim += "HTTP/1.1 103 Early\r\n\r\n";
    const std::string chunked = "HTTP/1.1 200 OK\r\n" +
                                fmt::format("ETag: {}\r\n", proof().front().second) +
                                "Transfer-Encoding: chunked\r\n\r\n";
    SUBCASE("in a header") { server_.answer_raw_and_close("HTTP/1.1 200 OK\r\nX: " + much); }
    SUBCASE("in headers") { server_.answer_raw_and_close("HTTP/1.1 200 OK\r\n" + many_lines); }
    SUBCASE("in interim answers") { server_.answer_raw_and_close(interim); }
    SUBCASE("in a chunk extension") { server_.answer_raw_and_close(chunked + "1;" + much); }
    SUBCASE("in trailers") { server_.answer_raw_and_close(chunked + "0\r\n" + many_lines); }
    SUBCASE("in chunks of a byte") {
      std::string chunks;
      for (int i = 0; i < 40'000; ++i) chunks += "1;xxxx\r\nx\r\n";
      server_.answer_raw_and_close(chunked + chunks);
    }
    const PutResult result = put(object("1"));
    CAPTURE(result.code);
    CAPTURE(result.detail);
    CHECK(meaning(result) == "path, needs a person");
    server_.answer(200, {}, kLocation);
    CHECK(put(object("2")).outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(Fixture, "a chunked answer is read") {
    server_.answer_raw(
        "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n"
        "10\r\n<Error><Code>NoS\r\n1b;x=y\r\nuchBucket</Code>/Error/////\r\n0\r\nTrailer: "
        "1\r\n\r\n");
    server_.answer_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    server_.answer_raw(
        fmt::format("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                    kLocation.size(), kLocation));
    CHECK(ensure_bucket().outcome == PutOutcome::stored);
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request(3).connection == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a missing bucket is created on the way and the object put again") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(200);
    server_.store();
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request(1).method == "PUT");
    CHECK(server_.request(1).target == "/pictures");
    CHECK(server_.request(1).body.empty());
    CHECK(server_.request(1).header("Authorization") == expected_authorization(server_.request(1)));
    CHECK(server_.request(2).target == "/pictures/1.jpg");
    CHECK(server_.request(2).body == "picture");
  }

  TEST_CASE_FIXTURE(Fixture, "a bucket that another connection created meanwhile is fine") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(409, {}, s3_error("BucketAlreadyOwnedByYou"));
    server_.store();
    CHECK(put(object("1")).outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(Fixture, "a missing bucket that may not be created is the bucket's matter") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(403, {}, s3_error("AccessDenied"));
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "bucket, needs a person");
    CHECK(result.code == "AccessDenied");
    CHECK(result.detail.find("cannot be created") != std::string::npos);
    CHECK(server_.request_count() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal to create the bucket is never the object's fault") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(400, {}, s3_error("InvalidArgument"));
    CHECK(meaning(put(object("1"))) == "bucket, needs a person");
    CHECK(server_.request_count() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "a store that goes away while the bucket is created is tried again") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(503, {}, s3_error("SlowDown"));
    CHECK(meaning(put(object("1"))) == "store");
  }

  TEST_CASE_FIXTURE(Fixture, "what passes while the bucket is created is not the bucket's matter") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    SUBCASE("the store's own trouble") {
      server_.answer(500, {}, s3_error("InternalError"));
      CHECK(meaning(put(object("1"))) == "ambiguous");
    }
    SUBCASE("a gateway's") {
      server_.answer(502, {}, "<html>");
      CHECK(meaning(put(object("1"))) == "path");
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a bucket that stays missing is the bucket's matter") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(200);
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "bucket, needs a person");
    CHECK(result.code == "NoSuchBucket");
    CHECK(server_.request_count() == 3);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a refused time is corrected from the store's Date and the object put again") {
    const auto store_time = now() + 2h;
    server_.answer(403, {{"Date", http_date(store_time)}}, s3_error("RequestTimeTooSkewed"));
    server_.store();
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(context_.clock_offset.get() > 2h - 60s);
    CHECK(context_.clock_offset.get() <= 2h);
    const Request again = server_.request(1);
    CHECK(signing_time(again) >= store_time);
    CHECK(signing_time(again) < store_time + 60s);
    CHECK(again.header("Authorization") == expected_authorization(again));
    CHECK(again.body == "picture");

    CHECK(put(object("2")).outcome == PutOutcome::stored);  // stays corrected
    CHECK(signing_time(server_.request(2)) >= store_time);
  }

  TEST_CASE_FIXTURE(Fixture, "a correction that has become wrong is corrected again") {
    context_.clock_offset.adopt(-24h * 30);
    server_.answer(403, {{"Date", http_date(now())}}, s3_error("RequestTimeTooSkewed"));
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(signing_time(server_.request(0)) < now() - 24h * 29);
    CHECK(context_.clock_offset.get() <= 0s);
    CHECK(context_.clock_offset.get() > -60s);
  }

  TEST_CASE_FIXTURE(Fixture, "a time that is refused twice is left for later") {
    const Headers date{{"Date", http_date(now() + 2h)}};
    server_.answer(403, date, s3_error("RequestTimeTooSkewed"));
    server_.answer(403, date, s3_error("RequestTimeTooSkewed"));
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "store");
    CHECK(result.code == "RequestTimeTooSkewed");
    CHECK(server_.request_count() == 2);
    CHECK(context_.clock_offset.get() == 0s);  // nobody took it
  }

  TEST_CASE_FIXTURE(Fixture, "a Date that cannot be now, or none, leaves the clock as it is") {
    for (const std::string_view date :
         {"", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
          "Sat, 01 Jan 10000 00:00:00 GMT", "Thu, 31 Dec 292277026596 00:00:00 GMT",
          "Fri, 01 Jan 2100 00:00:00 GMT"}) {
      CAPTURE(date);
      const std::size_t before = server_.request_count();
      server_.answer(403, {{"Date", std::string(date)}}, s3_error("RequestTimeTooSkewed"));
      CHECK(meaning(put(object("1"))) == "store");
      CHECK(server_.request_count() == before + 1);
      CHECK(context_.clock_offset.get() == 0s);
      CHECK_FALSE(context_.clock_offset.seen());
    }
  }

  TEST_CASE_FIXTURE(Fixture, "whatever a wrong offset is refused with leads back in one round") {
    context_.clock_offset.adopt(24h * 365 * 50);  // less than until 2100
    Headers date{{"Date", http_date(now())}};
    SUBCASE("skewed") { server_.answer(403, date, s3_error("RequestTimeTooSkewed")); }
    SUBCASE("malformed") { server_.answer(400, date, s3_error("MalformedDate")); }
    SUBCASE("expired") { server_.answer(403, date, s3_error("AccessDenied")); }
    SUBCASE("the scope") { server_.answer(400, date, s3_error("AuthorizationHeaderMalformed")); }
    SUBCASE("the signature") { server_.answer(403, date, s3_error("SignatureDoesNotMatch")); }
    SUBCASE("an argument") { server_.answer(400, date, s3_error("InvalidArgument")); }
    SUBCASE("without a Date") { server_.answer(403, {}, s3_error("AccessDenied")); }
    SUBCASE("without a reason") { server_.answer(403, {}); }
    CHECK(put(object("1")).outcome == PutOutcome::stored);
    CHECK(server_.request_count() == 2);
    CHECK(std::chrono::abs(context_.clock_offset.get()) < 60s);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal that is not about the time is not taken for one") {
    server_.answer(403, {{"Date", http_date(now())}}, s3_error("AccessDenied"));
    CHECK(put(object("1")).code == "AccessDenied");
    CHECK(server_.request_count() == 1);
    server_.answer(403, {{"Date", http_date(now() + 3h)}}, s3_error("AccessDenied"));
    server_.answer(403, {{"Date", http_date(now() + 3h)}}, s3_error("AccessDenied"));
    CHECK(put(object("1")).code == "AccessDenied");
    CHECK(context_.clock_offset.get() == 0s);
  }

  TEST_CASE_FIXTURE(Fixture, "a busy store is tried again") {
    server_.answer(500, {}, s3_error("InternalError"));
    server_.answer(503, {}, s3_error("SlowDownWrite"));
    server_.answer(429);
    CHECK(put(object("1")).code == "InternalError");
    const PutResult busy = put(object("1"));
    CHECK(meaning(busy) == "store");
    CHECK(busy.code == "SlowDownWrite");
    CHECK(busy.http_status == 503);
    CHECK(busy.detail == "SlowDownWrite: Some text. (request 18EA71DCB814FC94)");
    const PutResult limited = put(object("1"));
    CHECK(meaning(limited) == "store");
    CHECK(limited.code == "http_429");
  }

  TEST_CASE_FIXTURE(Fixture, "how long the store asks us to wait is told, within bounds") {
    struct Wait {
      std::string header;
      std::chrono::seconds least;
      std::chrono::seconds most;
    };
    const std::vector<Wait> waits{
        {"7", 7s, 7s},
        {"60", 60s, 60s},
        {"61", 60s, 60s},
        {"86400", 60s, 60s},
        {"99999999999999999999999", 0s, 60s},
        {http_date(now() + 50s), 1s, 50s},
        {http_date(now() + 24h), 60s, 60s},
        {http_date(now() - 1h), 0s, 0s},
        {"0", 0s, 0s},
        {"-5", 0s, 0s},
        {"soon", 0s, 0s},
        {"", 0s, 0s},
    };
    for (const Wait& wait : waits) {
      CAPTURE(wait.header);
      server_.answer(503, {{"Retry-After", wait.header}}, s3_error("SlowDown"));
      const PutResult result = put(object("1"));
      CHECK(result.code == "SlowDown");
      CHECK(result.retry_after >= wait.least);
      CHECK(result.retry_after <= wait.most);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "only a refusal with Retry-After asks us to wait") {
    server_.answer(429, {{"Retry-After", "9"}}, "<html>");
    CHECK(put(object("1")).retry_after == 9s);
    server_.answer(503, {}, s3_error("SlowDown"));
    CHECK(put(object("1")).retry_after == 0s);
    server_.store({{"Retry-After", "9"}});
    CHECK(put(object("1")).retry_after == 0s);
    server_.answer(503, {{"Retry-After", "9"}}, s3_error("SlowDown"));
    CHECK(ensure_bucket().retry_after == 9s);
  }

  TEST_CASE_FIXTURE(Fixture, "an object that the store refuses for itself is refused alone") {
    server_.answer(400, {}, s3_error("MetadataTooLarge"));
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "object");
    CHECK(result.code == "MetadataTooLarge");
  }

  TEST_CASE_FIXTURE(Fixture, "a redirect is not followed") {
    server_.answer(307, {{"Location", "http://127.0.0.1:1/elsewhere"}},
                   s3_error("TemporaryRedirect"));
    CHECK(meaning(put(object("1"))) == "path, needs a person");
    CHECK(server_.request_count() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "the page of a proxy is no S3 error") {
    const std::string page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    server_.answer(502, {{"Content-Type", "text/html"}}, page);
    server_.answer(404, {{"Content-Type", "text/html"}}, page);
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path");
    CHECK(result.code == "http_502");
    CHECK(result.detail == page);
    CHECK(meaning(put(object("1"))) == "path, needs a person");
    CHECK(server_.request_count() == 2);  // no bucket was created because of it
  }

  TEST_CASE_FIXTURE(Fixture, "an endless answer is read no further than needed") {
    server_.answer(503, {}, s3_error("SlowDown") + std::string(5'000'000, 'x'));
    server_.store();
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "store");
    CHECK(result.code == "SlowDown");
    CHECK(put(object("2")).outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(Fixture, "a connection reset in mid-body is tried again later") {
    server_.reset_in_body(1000);
    const PutResult result = put(object("1", std::string(8'000'000, 'x')));
    CHECK(meaning(result) == "path");
    CHECK(result.code == "connection_reset");
    CHECK(result.http_status == 0);
    CHECK_FALSE(result.detail.empty());
    CHECK(put(object("1")).outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(Fixture, "a connection closed without an answer is tried again later") {
    server_.drop();
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path");
    CHECK(result.code == "no_answer");
  }

  TEST_CASE_FIXTURE(Fixture, "an answer cut short is tried again later") {
    server_.answer_raw_and_close("HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\n123");
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path");
    CHECK(result.code == "cut_answer");
  }

  TEST_CASE_FIXTURE(Fixture, "a server that speaks no HTTP is a wrong path") {
    server_.answer_raw_and_close("SSH-2.0-OpenSSH_9.2p1\r\n");
    const PutResult result = put(object("1"));
    CHECK(meaning(result) == "path, needs a person");
    CHECK(result.code == "not_http");
  }

  TEST_CASE_FIXTURE(Fixture, "a stalled answer is given up after the stall timeout") {
    options_.stall_timeout = 1s;
    S3Store impatient(context_);
    server_.stay_silent();
    const PutResult result = impatient.put(object("1", ""), {});
    CHECK(meaning(result) == "path");
    CHECK(result.code == "timeout");
  }

  TEST_CASE_FIXTURE(Fixture, "being held back by the bandwidth limit is no stall") {
    constexpr std::uint64_t kBytesPerSecond = 2048;
    const std::string body(1500, 'p');
    options_.stall_timeout = 1s;
    options_.bandwidth_limit = kBytesPerSecond;
    StoreContext context(options_);
    std::vector<std::future<PutResult>> pending;
    const auto begin = std::chrono::steady_clock::now();
    for (const std::string_view key : {"1", "2", "3", "4"}) {
      pending.push_back(std::async(std::launch::async, [&, key] {
        S3Store slow(context);
        return slow.put(object(key, body), {});
      }));
    }
    for (auto& result : pending) CHECK(result.get().outcome == PutOutcome::stored);
    CHECK(std::chrono::steady_clock::now() - begin > 2s);  // 6000 bytes without a burst of 1229
    for (std::size_t index = 0; index < pending.size(); ++index) {
      CHECK(server_.request(index).body == body);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a request to stop ends the wait for bandwidth, and is no failure") {
    options_.bandwidth_limit = 1;
    StoreContext context(options_);
    S3Store slow(context);
    auto pending =
        std::async(std::launch::async, [&] { return slow.put(object("1"), stop_.get_token()); });
    stop_.request_stop();
    CHECK(pending.get().outcome == PutOutcome::stopped);
  }

  TEST_CASE_FIXTURE(Fixture, "a body that is sent again counts again") {
    constexpr std::uint64_t kBytesPerSecond = 100'000;
    const std::string body(60'000, 'p');
    options_.bandwidth_limit = kBytesPerSecond;
    StoreContext context(options_);
    S3Store slow(context);
    server_.answer(503, {}, s3_error("SlowDown"));
    const auto begin = std::chrono::steady_clock::now();
    CHECK(meaning(slow.put(object("1", body), {})) == "store");
    CHECK(slow.put(object("1", body), {}).outcome == PutOutcome::stored);
    CHECK(std::chrono::steady_clock::now() - begin > 1s);
  }

  TEST_CASE_FIXTURE(Fixture, "an answer that drips for ever is given up") {
    options_.connect_timeout = 100ms;
    options_.stall_timeout = 1s;
    S3Store impatient(context_);
    std::string body = "picture";
    SUBCASE("in its head") { server_.drip("HTTP/1.1 200 OK\r\nX-Drip: "); }
    SUBCASE("in its head, to a large object") {
      body.resize(100'000, 'b');
      server_.drip("HTTP/1.1 200 OK\r\nX-Drip: ");
    }
    SUBCASE("in its body") { server_.drip("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"); }
    const PutResult result = impatient.put(object("1", body), {});
    CHECK(meaning(result) == "path");
    CHECK(result.code == "timeout");
  }

  TEST_CASE_FIXTURE(Fixture, "a request to stop ends a silent transfer soon, and is no failure") {
    server_.stay_silent();
    auto pending = std::async(std::launch::async, [this] { return put(object("1")); });
    static_cast<void>(server_.request(0));  // it has our request and will never answer
    const auto asked = std::chrono::steady_clock::now();
    stop_.request_stop();
    const PutResult result = pending.get();
    CHECK(std::chrono::steady_clock::now() - asked < 5s);  // far below the stall timeout
    CHECK(result.outcome == PutOutcome::stopped);
    CHECK(result.code == "stopped");
  }

  TEST_CASE_FIXTURE(Fixture, "nothing is sent once stopping was requested") {
    stop_.request_stop();
    CHECK(put(object("1")).outcome == PutOutcome::stopped);
    CHECK(ensure_bucket().outcome == PutOutcome::stopped);
    CHECK(server_.request_count() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a bucket that is there is not created") {
    server_.answer(200, {},
                   "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>");
    CHECK(ensure_bucket().outcome == PutOutcome::stored);
    const Request request = server_.request(0);
    CHECK(request.method == "GET");
    CHECK(request.target == "/pictures?location=");
    CHECK(request.header("Authorization") == expected_authorization(request));
    CHECK(server_.request_count() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a bucket that is missing is created") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(200);
    server_.answer(200, {}, kLocation);
    CHECK(ensure_bucket().outcome == PutOutcome::stored);
    CHECK(server_.request(1).method == "PUT");
    CHECK(server_.request(1).target == "/pictures");
  }

  TEST_CASE_FIXTURE(Fixture, "a bucket that was created and is not there was not created") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(200, {}, "<html>");
    SUBCASE("the stranger says so to everything") {
      server_.answer(200, {}, "<html>");
      CHECK(ensure_bucket().code == "not_s3");
    }
    SUBCASE("the store was there for a moment") {
      server_.answer(404, {}, s3_error("NoSuchBucket"));
      CHECK(ensure_bucket().code == "NoSuchBucket");
    }
  }

  TEST_CASE_FIXTURE(Fixture, "outside the default region the bucket's region is told") {
    options_.region = "eu-central-1";
    S3Store european(context_);
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(200);
    server_.answer(200, {}, kLocation);
    CHECK(european.ensure_bucket({}).outcome == PutOutcome::stored);
    const Request request = server_.request(1);
    CHECK(request.body.find("<LocationConstraint>eu-central-1</LocationConstraint>") !=
          std::string::npos);
    CHECK(request.header("Authorization").find("/eu-central-1/s3/") != std::string::npos);
    CHECK(request.header("Authorization") == expected_authorization(request));
  }

  TEST_CASE_FIXTURE(Fixture, "a bucket that somebody else took is the bucket's matter") {
    server_.answer(404, {}, s3_error("NoSuchBucket"));
    server_.answer(409, {}, s3_error("BucketAlreadyExists"));
    const PutResult result = ensure_bucket();
    CHECK(meaning(result) == "bucket, needs a person");
    CHECK(result.code == "BucketAlreadyExists");
  }

  TEST_CASE_FIXTURE(Fixture, "wrong credentials are found out before any upload") {
    server_.answer(403, {}, s3_error("SignatureDoesNotMatch"));
    const PutResult result = ensure_bucket();
    CHECK(meaning(result) == "credentials, needs a person");
    CHECK(result.code == "SignatureDoesNotMatch");
    CHECK(server_.request_count() == 1);
  }

  TEST_CASE_FIXTURE(
      Fixture, "credentials that may only write objects leave the answer to the first upload") {
    for (const std::string_view refusal : {"AccessDenied", "BucketAlreadyExists"}) {
      server_.answer(403, {}, s3_error("AccessDenied"));
      server_.answer(refusal == "AccessDenied" ? 403 : 409, {}, s3_error(refusal));
      const PutResult result = ensure_bucket();
      CHECK(meaning(result) == "ambiguous");
      CHECK(result.code == refusal);
    }
    server_.store();
    CHECK(put(object("1")).outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "credentials that may create the bucket but not look at it are enough") {
    server_.answer(403, {}, s3_error("AccessDenied"));
    server_.answer(409, {}, s3_error("BucketAlreadyOwnedByYou"));
    server_.answer(403, {}, s3_error("AccessDenied"));
    CHECK(ensure_bucket().outcome == PutOutcome::stored);
  }

  TEST_CASE_FIXTURE(Fixture, "a web server in place of the store is found out") {
    server_.answer(200, {}, "<html>It works!</html>");
    const PutResult result = ensure_bucket();
    CHECK(meaning(result) == "path, needs a person");
    CHECK(result.code == "not_s3");
  }

  TEST_CASE("a store that is not there is tried again later") {
    StoreOptions options;
    options.host = "127.0.0.1";
    options.port = ScriptedHttpServer().port();  // closed again
    options.secure = false;
    options.bucket = "pictures";
    const m2b::CurlGlobal curl;
    StoreContext context(options);
    S3Store store(context);
    const PutResult result = store.put(object("1"), {});
    CHECK(meaning(result) == "path");
    CHECK(result.code == "could_not_connect");
    CHECK(result.http_status == 0);
    CHECK(meaning(store.ensure_bucket({})) == "path");
  }

  TEST_CASE("a store whose name nobody knows is tried again later") {
    StoreOptions options;
    options.host = "no-such-host.invalid";  // RFC 6761: never resolves
    options.port = 9000;
    options.secure = false;
    options.bucket = "pictures";
    const m2b::CurlGlobal curl;
    StoreContext context(options);
    S3Store store(context);
    const PutResult result = store.put(object("1"), {});
    CHECK(meaning(result) == "path");
    // A name server that does not answer at all runs into the connect timeout.
    const bool is_named = result.code == "dns" || result.code == "timeout";
    CHECK(is_named);
  }
}

}  // namespace
