#include "upload/put_proof.hpp"

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "upload/digest.hpp"

namespace {

using m2b::HeadAnswer;
using m2b::PutEvidence;
using m2b::StoreResponse;
using m2b::UploadedBody;

TEST_SUITE("proof of an upload") {
  constexpr std::string_view kBytes = "picture";

  UploadedBody body() { return {kBytes, m2b::sha256(std::span(&kBytes, 1))}; }
  std::string checksum_of(std::string_view bytes) {
    return m2b::base64(m2b::sha256(std::span(&bytes, 1)));
  }
  std::string quoted_md5(std::string_view bytes) {
    return fmt::format("\"{}\"", m2b::md5_hex(bytes).value());
  }

  /// As a store without checksums answers.
  StoreResponse stored() {
    StoreResponse response;
    response.status = 200;
    response.etag = quoted_md5(kBytes);
    return response;
  }
  PutEvidence evidence(const StoreResponse& response) {
    return m2b::examine_put(response, body(), true).evidence;
  }

  TEST_CASE("a checksum is proof from a store that computes it, whatever strong ETag is with it") {
    StoreResponse response = stored();
    response.sha256 = checksum_of(kBytes);
    CHECK(evidence(response) == PutEvidence::checksum);
    response.etag = "\"d41d8cd98f00b204e9800998ecf8427e-1\"";
    CHECK(evidence(response) == PutEvidence::checksum);
    CHECK(m2b::examine_put(response, body(), false).evidence == PutEvidence::echo_only);
    response.etag = quoted_md5(kBytes);
    CHECK(m2b::examine_put(response, body(), false).evidence == PutEvidence::md5);
    response.body = "\n";
    CHECK(evidence(response) == PutEvidence::checksum);
  }

  TEST_CASE("an ETag that is the MD5 of the bytes is proof") {
    CHECK(evidence(stored()) == PutEvidence::md5);
  }

  TEST_CASE("any other strong ETag is none, but may be a store's") {
    StoreResponse response = stored();
    for (const std::string& etag :
         {quoted_md5("other"), fmt::format("\"{}-1\"", m2b::md5_hex(kBytes).value()),
          fmt::format("\"{}", m2b::md5_hex(kBytes).value()) + "x\"", std::string("\"x\"")}) {
      response.etag = etag;
      CAPTURE(etag);
      CHECK(evidence(response) == PutEvidence::etag_only);
    }
  }

  TEST_CASE("no S3 store gives such an answer") {
    StoreResponse response = stored();
    response.sha256 = checksum_of(kBytes);
    SUBCASE("another success") { response.status = 204; }
    SUBCASE("another success that is one of HTTP") { response.status = 201; }
    SUBCASE("without an ETag") { response.etag.clear(); }
    SUBCASE("an empty ETag") { response.etag = "\"\""; }
    SUBCASE("a weak ETag") { response.etag = "W/" + quoted_md5(kBytes); }
    SUBCASE("an ETag without quotes") { response.etag = m2b::md5_hex(kBytes).value(); }
    SUBCASE("the checksum of other bytes") { response.sha256 = checksum_of("other"); }
    SUBCASE("a checksum that is none") { response.sha256 = "x"; }
    SUBCASE("an error as its body") {
      response.body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>";
    }
    SUBCASE("a page as its body") { response.body = "\n<!DOCTYPE html><html></html>"; }
    SUBCASE("a page without a type") { response.body = "<HTML><body>Log in</body></HTML>"; }
    SUBCASE("a page of XML") { response.body = "<?xml version=\"1.0\"?><html/>"; }
    SUBCASE("a text as its body") { response.body = "{\"headers\": {}}"; }
    SUBCASE("an error that is cut") { response.body = "<Error>"; }
    SUBCASE("a fault in its form") { response.fault = "the answer has a header twice"; }
    const m2b::PutFinding finding = m2b::examine_put(response, body(), true);
    CHECK(finding.evidence == PutEvidence::none);
    CHECK_FALSE(finding.cause.empty());
  }

  TEST_CASE("a document in a success is none of a page") {
    StoreResponse response = stored();
    response.body = "<?xml version=\"1.0\"?>\n<PutObjectResult/>";
    CHECK(evidence(response) == PutEvidence::md5);
  }

  TEST_CASE("a wrong checksum is refused by who computes it") {
    CHECK(body().wrong_checksum() != body().checksum());
    CHECK(body().wrong_checksum().size() == body().checksum().size());
    StoreResponse response;
    for (const std::string_view code :
         {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"}) {
      response.body = fmt::format("<Error><Code>{}</Code></Error>", code);
      response.status = 400;
      CHECK(m2b::is_checksum_refusal(response));
      response.status = 200;
      CHECK_FALSE(m2b::is_checksum_refusal(response));
    }
    response.status = 400;
    response.body = "<Error><Code>InvalidRequest</Code></Error>";
    CHECK_FALSE(m2b::is_checksum_refusal(response));
    response.body = "<html>BadDigest</html>";
    CHECK_FALSE(m2b::is_checksum_refusal(response));
  }

  HeadAnswer head() {
    HeadAnswer answer;
    answer.status = 200;
    answer.content_length = kBytes.size();
    answer.etag = "etag";
    answer.metadata = {{"image_id", "1"}, {"sha256", checksum_of(kBytes)}};
    return answer;
  }
  bool is_proof(const HeadAnswer& answer) {
    return m2b::doubt_of_head(answer, "etag", body()).empty();
  }

  TEST_CASE("a HEAD is proof by the digest that was put, or by the store's own") {
    HeadAnswer answer = head();
    CHECK(is_proof(answer));
    answer.metadata.clear();
    CHECK_FALSE(is_proof(answer));
    answer.sha256 = checksum_of(kBytes);
    CHECK(is_proof(answer));
  }

  TEST_CASE("a HEAD that shows another object, or none, is no proof") {
    HeadAnswer answer = head();
    SUBCASE("refused") { answer.status = 403; }
    SUBCASE("missing") { answer.status = 404; }
    SUBCASE("an earlier object of the same key") { answer.etag = "earlier"; }
    SUBCASE("of another size") { answer.content_length = kBytes.size() + 1; }
    SUBCASE("of a size that is not told") { answer.content_length.reset(); }
    SUBCASE("with the digest of other bytes") { answer.metadata[1].second = checksum_of("other"); }
    SUBCASE("without a digest") { answer.metadata.pop_back(); }
    SUBCASE("with the checksum of other bytes") { answer.sha256 = checksum_of("other"); }
    CHECK_FALSE(is_proof(answer));
  }
}

}  // namespace
