#include "m2b/upload/put_outcome.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "support/s3_error.hpp"
#include "upload/classify.hpp"

namespace {

using m2b::classify_response;
using m2b::parse_s3_error;
using m2b::PutOutcome;
using m2b::PutResult;
using m2b::result_of_answer;
using m2b::result_of_failure;
using m2b::test::s3_error;

TEST_SUITE("put outcome") {
  /// The answer has this outcome, and its S3 code is the label.
  void check_code(int status, std::string_view code, PutOutcome outcome) {
    CAPTURE(code);
    const PutResult result = result_of_answer(status, s3_error(code));
    CHECK(result.outcome == outcome);
    CHECK(result.code == code);
    CHECK(result.http_status == status);
  }

  /// The answer has no S3 error in it; its status is the label.
  void check_bare(int status, PutOutcome outcome) {
    CAPTURE(status);
    const PutResult result = result_of_answer(status, "<html>what a proxy says</html>");
    CHECK(result.outcome == outcome);
    CHECK(result.code == "http_" + std::to_string(status));
  }

  void check_transport(CURLcode code, PutOutcome outcome, std::string_view label) {
    CAPTURE(label);
    const PutResult result = result_of_failure(code, "details");
    CHECK(result.outcome == outcome);
    CHECK(result.code == label);
    CHECK(result.http_status == 0);
    CHECK(result.detail == "details");
  }

  TEST_CASE("success is stored") {
    CHECK(result_of_answer(200, "").outcome == PutOutcome::stored);
    CHECK(result_of_answer(200, "").code.empty());
  }

  TEST_CASE("a store that is away, busy or full is tried again") {
    check_code(400, "IncompleteBody", PutOutcome::retry_later);
    check_code(500, "InternalError", PutOutcome::retry_later);
    check_code(409, "OperationAborted", PutOutcome::retry_later);
    check_code(400, "RequestTimeout", PutOutcome::retry_later);
    check_code(403, "RequestTimeTooSkewed", PutOutcome::retry_later);
    check_code(503, "ServiceUnavailable", PutOutcome::retry_later);
    check_code(503, "SlowDown", PutOutcome::retry_later);
    check_code(503, "SlowDownRead", PutOutcome::retry_later);
    check_code(503, "SlowDownWrite", PutOutcome::retry_later);
    check_code(429, "TooManyRequests", PutOutcome::retry_later);
    check_code(400, "XMinioBackendDown", PutOutcome::retry_later);
    check_code(503, "XMinioServerNotInitialized", PutOutcome::retry_later);
    check_code(507, "XMinioStorageFull", PutOutcome::retry_later);
    for (const int status : {500, 502, 503, 504, 505, 507, 511, 520, 599}) {
      check_bare(status, PutOutcome::retry_later);
    }
    for (const int status : {408, 429, 499}) check_bare(status, PutOutcome::retry_later);
    CHECK(classify_response(503, "AccessDenied") == PutOutcome::retry_later);
    CHECK(classify_response(0, "") == PutOutcome::retry_later);
  }

  TEST_CASE("wrong credentials hold everything") {
    check_code(403, "AccessDenied", PutOutcome::hold);
    check_code(403, "AccountProblem", PutOutcome::hold);
    check_code(403, "AllAccessDisabled", PutOutcome::hold);
    check_code(400, "ExpiredToken", PutOutcome::hold);
    check_code(403, "InvalidAccessKeyId", PutOutcome::hold);
    check_code(403, "InvalidSecurity", PutOutcome::hold);
    check_code(400, "InvalidToken", PutOutcome::hold);
    check_code(403, "InvalidTokenId", PutOutcome::hold);
    check_code(403, "NotSignedUp", PutOutcome::hold);
    check_code(403, "SignatureDoesNotMatch", PutOutcome::hold);
    for (const int status : {401, 403, 407}) check_bare(status, PutOutcome::hold);
    CHECK(classify_response(401, "NeverHeardOf") == PutOutcome::hold);
    CHECK(classify_response(403, "NeverHeardOf") == PutOutcome::hold);
  }

  TEST_CASE("a wrong bucket, endpoint or region holds everything") {
    check_code(400, "AuthorizationHeaderMalformed", PutOutcome::hold);
    check_code(409, "BucketAlreadyExists", PutOutcome::hold);
    check_code(400, "IllegalLocationConstraintException", PutOutcome::hold);
    check_code(400, "InvalidBucketName", PutOutcome::hold);
    check_code(400, "InvalidLocationConstraint", PutOutcome::hold);
    check_code(400, "InvalidRegion", PutOutcome::hold);
    check_code(400, "InvalidStorageClass", PutOutcome::hold);
    check_code(405, "MethodNotAllowed", PutOutcome::hold);
    check_code(411, "MissingContentLength", PutOutcome::hold);
    check_code(404, "NoSuchBucket", PutOutcome::hold);
    check_code(501, "NotImplemented", PutOutcome::hold);
    check_code(301, "PermanentRedirect", PutOutcome::hold);
    check_code(403, "QuotaExceeded", PutOutcome::hold);
    check_code(307, "Redirect", PutOutcome::hold);
    check_code(307, "TemporaryRedirect", PutOutcome::hold);
    check_code(400, "TooManyBuckets", PutOutcome::hold);
    check_code(400, "XMinioAdminBucketQuotaExceeded", PutOutcome::hold);
    for (const int status : {301, 302, 303, 307, 308}) check_bare(status, PutOutcome::hold);
  }

  TEST_CASE("an answer that no S3 store gives holds everything") {
    for (const int status : {100, 201, 202, 204, 206, 400, 404, 405, 409, 411, 418, 501, 999}) {
      check_bare(status, PutOutcome::hold);
    }
  }

  TEST_CASE("an object that can never be stored is rejected alone") {
    check_code(400, "EntityTooLarge", PutOutcome::rejected);
    check_code(400, "KeyTooLongError", PutOutcome::rejected);
    check_code(400, "MetadataTooLarge", PutOutcome::rejected);
    check_code(400, "XMinioInvalidObjectName", PutOutcome::rejected);
    check_code(400, "XMinioInvalidResourceName", PutOutcome::rejected);
    check_code(409, "XMinioObjectExistsAsDirectory", PutOutcome::rejected);
    check_code(400, "XMinioParentIsObject", PutOutcome::rejected);
  }

  TEST_CASE("damage on the way and refusals nobody knows are doubtful") {
    check_code(400, "BadDigest", PutOutcome::doubtful);
    check_code(400, "InvalidArgument", PutOutcome::doubtful);
    check_code(400, "InvalidDigest", PutOutcome::doubtful);
    check_code(400, "XAmzContentChecksumMismatch", PutOutcome::doubtful);
    check_code(400, "XAmzContentSHA256Mismatch", PutOutcome::doubtful);
    for (const int status : {400, 404, 409, 412, 422}) {
      CHECK(classify_response(status, "NeverHeardOf") == PutOutcome::doubtful);
    }
  }

  TEST_CASE("MinIO's console in place of its API port holds everything") {
    const PutResult result = result_of_answer(
        400,
        "<Error><Code>InvalidArgument</Code><Message>S3 API Requests must be made to API port."
        "</Message><RequestId>0</RequestId></Error>");
    CHECK(result.outcome == PutOutcome::hold);
    CHECK(result.code == "InvalidArgument");
    CHECK(result.detail ==
          "InvalidArgument: S3 API Requests must be made to API port. (request 0)");
  }

  TEST_CASE("limits of a proxy are about one request, not about all") {
    for (const int status : {413, 414, 431}) check_bare(status, PutOutcome::doubtful);
  }

  TEST_CASE("codes outside the table do not become labels") {
    const PutResult result = result_of_answer(418, s3_error("RandomCode4711"));
    CHECK(result.code == "http_418");
    CHECK(result.detail == "RandomCode4711: Some text. (request 18EA71DCB814FC94)");
  }

  TEST_CASE("the detail holds the start of a long answer") {
    CHECK(result_of_answer(502, std::string(5000, 'x')).detail == std::string(256, 'x'));
    const std::string long_message =
        "<Error><Code>SlowDown</Code><Message>" + std::string(5000, 'm') + "</Message></Error>";
    CHECK(result_of_answer(503, long_message).detail.size() < 400);
  }

  TEST_CASE("no answer at all is tried again") {
    check_transport(CURLE_COULDNT_RESOLVE_HOST, PutOutcome::retry_later, "dns");
    check_transport(CURLE_COULDNT_RESOLVE_PROXY, PutOutcome::retry_later, "dns");
    check_transport(CURLE_COULDNT_CONNECT, PutOutcome::retry_later, "could_not_connect");
    check_transport(CURLE_OPERATION_TIMEDOUT, PutOutcome::retry_later, "timeout");
    check_transport(CURLE_SEND_ERROR, PutOutcome::retry_later, "connection_reset");
    check_transport(CURLE_RECV_ERROR, PutOutcome::retry_later, "connection_reset");
    check_transport(CURLE_SEND_FAIL_REWIND, PutOutcome::retry_later, "connection_reset");
    check_transport(CURLE_GOT_NOTHING, PutOutcome::retry_later, "no_answer");
    check_transport(CURLE_PARTIAL_FILE, PutOutcome::retry_later, "cut_answer");
    check_transport(CURLE_PROXY, PutOutcome::retry_later, "proxy");
    check_transport(CURLE_OUT_OF_MEMORY, PutOutcome::retry_later, "out_of_memory");
    check_transport(CURLE_SSL_CONNECT_ERROR, PutOutcome::retry_later, "tls_handshake");
    check_transport(CURLE_FTP_ACCEPT_FAILED, PutOutcome::retry_later, "transport");
  }

  TEST_CASE("without a connection nothing was sent") {
    for (const CURLcode code :
         {CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT}) {
      CHECK(result_of_failure(code, "").is_unsent);
    }
    for (const CURLcode code : {CURLE_OPERATION_TIMEDOUT, CURLE_SEND_ERROR, CURLE_RECV_ERROR}) {
      CHECK_FALSE(result_of_failure(code, "").is_unsent);
    }
    CHECK_FALSE(result_of_answer(503, "").is_unsent);
  }

  TEST_CASE("a connection that only a person can mend holds everything") {
    check_transport(CURLE_PEER_FAILED_VERIFICATION, PutOutcome::hold, "tls_certificate");
    check_transport(CURLE_SSL_ISSUER_ERROR, PutOutcome::hold, "tls_certificate");
    check_transport(CURLE_SSL_INVALIDCERTSTATUS, PutOutcome::hold, "tls_certificate");
    check_transport(CURLE_SSL_CACERT_BADFILE, PutOutcome::hold, "tls_ca_file");
    check_transport(CURLE_SSL_CLIENTCERT, PutOutcome::hold, "tls_client_certificate");
    check_transport(CURLE_SSL_CERTPROBLEM, PutOutcome::hold, "tls_client_certificate");
    check_transport(CURLE_SSL_CIPHER, PutOutcome::hold, "tls_cipher");
    check_transport(CURLE_UNSUPPORTED_PROTOCOL, PutOutcome::hold, "not_http");
    check_transport(CURLE_WEIRD_SERVER_REPLY, PutOutcome::hold, "not_http");
    check_transport(CURLE_URL_MALFORMAT, PutOutcome::hold, "bad_url");
  }

  TEST_CASE("what we gave up ourselves is stopped") {
    check_transport(CURLE_ABORTED_BY_CALLBACK, PutOutcome::stopped, "stopped");
  }

  TEST_CASE("where libcurl has no words the name of its code stands in") {
    CHECK(result_of_failure(CURLE_COULDNT_CONNECT, "").detail == "Couldn't connect to server");
  }

  TEST_CASE("every outcome has its name") {
    CHECK(m2b::to_string(PutOutcome::stored) == "stored");
    CHECK(m2b::to_string(PutOutcome::retry_later) == "retry_later");
    CHECK(m2b::to_string(PutOutcome::hold) == "hold");
    CHECK(m2b::to_string(PutOutcome::doubtful) == "doubtful");
    CHECK(m2b::to_string(PutOutcome::rejected) == "rejected");
    CHECK(m2b::to_string(PutOutcome::stopped) == "stopped");
  }

  TEST_CASE("an S3 error document is read") {
    const m2b::S3Error error = parse_s3_error(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>"
        "<Message>&lt;you&gt; &amp; &quot;me&quot; &apos;too&apos; &#38;</Message>"
        "<Resource>/b/k</Resource><RequestId>A1B2</RequestId></Error>");
    CHECK(error.code == "AccessDenied");
    CHECK(error.message == "<you> & \"me\" 'too' &#38;");
    CHECK(error.request_id == "A1B2");
  }

  TEST_CASE("an S3 error is read without a declaration, with a namespace and with fields missing") {
    CHECK(parse_s3_error("<Error><Code>SlowDown</Code></Error>").code == "SlowDown");
    CHECK(parse_s3_error("<Error><Code>SlowDown</Code></Error>").message.empty());
    CHECK(parse_s3_error("\xEF\xBB\xBF \r\n<Error xmlns=\"x\"><Code>SlowDown</Code>").code ==
          "SlowDown");
  }

  TEST_CASE("anything else is no S3 error") {
    for (const std::string_view body :
         {"", " ", "<", "<?xml", "<?xml version=\"1.0\"?>", "<Error>", "<Error><Code>",
          "<Error><Code></Code></Error>", "<Error><Code>Access",
          "<Error><Code>two words</Code></Error>", "<Errors><Code>AccessDenied</Code></Errors>",
          "<html><Error><Code>AccessDenied</Code></Error></html>",
          "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>",
          "{\"Code\":\"AccessDenied\"}"}) {
      CAPTURE(body);
      CHECK(parse_s3_error(body).code.empty());
    }
    CHECK(parse_s3_error("<Error><Code>" + std::string(65, 'A') + "</Code></Error>").code.empty());
  }

  TEST_CASE("however much a store says, what is kept of it is short") {
    const std::string much(60'000, 'x');
    CHECK(result_of_answer(403, "<Error><Code>AccessDenied</Code><Message>" + much +
                                    "</Message><RequestId>" + much + "</RequestId></Error>")
              .detail.size() < 1000);
    CHECK(result_of_answer(502, much).detail.size() < 1000);
  }
}

}  // namespace
