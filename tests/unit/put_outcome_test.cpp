#include "m2b/upload/put_outcome.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "support/put_meaning.hpp"
#include "support/s3_error.hpp"
#include "upload/classify.hpp"

namespace {

using m2b::classify_answer;
using m2b::parse_s3_error;
using m2b::PutOutcome;
using m2b::PutResult;
using m2b::refusal;
using m2b::result_of_answer;
using m2b::result_of_failure;
using m2b::Scope;
using m2b::test::meaning;
using m2b::test::s3_error;

constexpr std::string_view kPage = "<html>what a proxy says</html>";

/// An answer, and what it means (support/put_meaning.hpp).
struct Row {
  int status;
  std::string_view code;  // empty: the answer is no S3 error
  std::string_view meaning;
};

PutResult answer(const Row& row) {
  return result_of_answer(row.status, row.code.empty() ? std::string(kPage) : s3_error(row.code));
}

TEST_SUITE("put outcome") {
  /// The answers mean that; a code that is in the table is the label.
  void check_codes(std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
      CAPTURE(row.status);
      CAPTURE(row.code);
      CHECK(meaning(answer(row)) == row.meaning);
      CHECK(meaning(classify_answer(row.status, row.code)) == row.meaning);
      CHECK(answer(row).code == row.code);
      CHECK(answer(row).http_status == row.status);
    }
  }

  /// The answers mean that; the status is the label.
  void check_statuses(std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
      CAPTURE(row.status);
      CAPTURE(row.code);
      CHECK(meaning(answer(row)) == row.meaning);
      CHECK(meaning(classify_answer(row.status, row.code)) == row.meaning);
      CHECK(answer(row).code == "http_" + std::to_string(row.status));
    }
  }

  TEST_CASE("success is stored") {
    const PutResult result = result_of_answer(200, "");
    CHECK(meaning(result) == "stored");
    CHECK(result.http_status == 200);
    CHECK(result.code.empty());
    CHECK(meaning(classify_answer(200, "")) == "stored");
  }

  TEST_CASE("codes that are documented to be about the object are about it alone") {
    check_codes({
        {400, "EntityTooLarge", "object"},
        {400, "KeyTooLongError", "object"},
        {400, "MetadataTooLarge", "object"},
        {400, "XMinioInvalidObjectName", "object"},
        {400, "XMinioInvalidResourceName", "object"},
        {409, "XMinioObjectExistsAsDirectory", "object"},
        {400, "XMinioParentIsObject", "object"},
    });
  }

  TEST_CASE("codes of the access key and its account") {
    check_codes({
        {403, "AccountDisabled", "credentials, needs a person"},
        {403, "AccountProblem", "credentials, needs a person"},
        {403, "AccountSuspended", "credentials, needs a person"},
        {403, "AllAccessDisabled", "credentials, needs a person"},
        {400, "ExpiredToken", "credentials, needs a person"},
        {403, "InvalidAccessKeyId", "credentials, needs a person"},
        {403, "InvalidClientTokenId", "credentials, needs a person"},
        {403, "InvalidSecurity", "credentials, needs a person"},
        {400, "InvalidToken", "credentials, needs a person"},
        {403, "InvalidTokenId", "credentials, needs a person"},
        {404, "NoSuchAccessKey", "credentials, needs a person"},
        {404, "NoSuchUser", "credentials, needs a person"},
        {403, "NotSignedUp", "credentials, needs a person"},
        {403, "SignatureDoesNotMatch", "credentials, needs a person"},
        {400, "TokenRefreshRequired", "credentials, needs a person"},
        {403, "UnauthorizedAccess", "credentials, needs a person"},
        {403, "UserDisable", "credentials, needs a person"},
        {403, "UserProjectAccountProblem", "credentials, needs a person"},
        {403, "UserSuspended", "credentials, needs a person"},
        {404, "XAdminUserNotFound", "credentials, needs a person"},
        {404, "XMinioAdminNoSuchAccessKey", "credentials, needs a person"},
        {404, "XMinioAdminNoSuchUser", "credentials, needs a person"},
        {403, "XMinioInvalidIAMCredentials", "credentials, needs a person"},
    });
  }

  TEST_CASE("codes of the bucket and its region") {
    check_codes({
        {400, "AuthorizationHeaderMalformed", "bucket, needs a person"},
        {409, "BucketAlreadyExists", "bucket, needs a person"},
        {400, "IllegalLocationConstraintException", "bucket, needs a person"},
        {400, "InvalidBucketName", "bucket, needs a person"},
        {400, "InvalidLocationConstraint", "bucket, needs a person"},
        {400, "InvalidRegion", "bucket, needs a person"},
        {404, "NoSuchBucket", "bucket, needs a person"},
        {403, "QuotaExceeded", "bucket, needs a person"},
        {400, "TooManyBuckets", "bucket, needs a person"},
        {400, "XMinioAdminBucketQuotaExceeded", "bucket, needs a person"},
    });
  }

  TEST_CASE("codes of a store that is away, busy or full, or cannot do it") {
    check_codes({
        {400, "IncompleteBody", "store"},
        {409, "OperationAborted", "store"},
        {403, "RequestTimeTooSkewed", "store"},
        {400, "RequestTimeout", "store"},
        {503, "ServiceUnavailable", "store"},
        {503, "SlowDown", "store"},
        {503, "SlowDownRead", "store"},
        {503, "SlowDownWrite", "store"},
        {429, "TooManyRequests", "store"},
        {400, "XMinioBackendDown", "store"},
        {503, "XMinioBucketMetadataNotInitialized", "store"},
        {503, "XMinioIAMNotInitialized", "store"},
        {503, "XMinioServerNotInitialized", "store"},
        {507, "XMinioStorageFull", "store"},
        {400, "InvalidStorageClass", "store, needs a person"},
        {501, "NotImplemented", "store, needs a person"},
        {501, "InvalidStorageClass", "store, needs a person"},
    });
  }

  TEST_CASE("codes that lead elsewhere") {
    check_codes({
        {301, "PermanentRedirect", "path, needs a person"},
        {307, "Redirect", "path, needs a person"},
        {307, "TemporaryRedirect", "path, needs a person"},
    });
  }

  TEST_CASE("codes that do not tell what they are about") {
    check_codes({
        {403, "AccessDenied", "ambiguous, needs a person"},
        {400, "AccessDenied", "ambiguous, needs a person"},
        {405, "MethodNotAllowed", "ambiguous, needs a person"},
        {411, "MissingContentLength", "ambiguous, needs a person"},
        {400, "MissingSecurityHeader", "ambiguous, needs a person"},
        {500, "InternalError", "ambiguous"},
        {503, "InternalError", "ambiguous"},
        {400, "BadDigest", "ambiguous"},
        {400, "InvalidDigest", "ambiguous"},
        {400, "XAmzContentChecksumMismatch", "ambiguous"},
        {400, "XAmzContentSHA256Mismatch", "ambiguous"},
        {400, "InvalidArgument", "ambiguous, may be the object's fault"},
        {400, "InvalidRequest", "ambiguous, may be the object's fault"},
    });
  }

  TEST_CASE("a server error is the server's own trouble, whatever it blames") {
    check_codes({
        {500, "AccessDenied", "ambiguous"},
        {502, "AccessDenied", "ambiguous"},
        {503, "AccessDenied", "store"},
        {500, "InvalidAccessKeyId", "ambiguous"},
        {503, "XAdminUserNotFound", "store"},
        {500, "NoSuchBucket", "ambiguous"},
        {507, "QuotaExceeded", "store"},
        {500, "EntityTooLarge", "ambiguous"},
        {503, "KeyTooLongError", "store"},
        {500, "InvalidArgument", "ambiguous"},
        {500, "NotImplemented", "ambiguous"},
        {500, "TemporaryRedirect", "ambiguous"},
        {501, "AccessDenied", "store, needs a person"},
        {500, "SlowDown", "store"},
        {500, "XMinioStorageFull", "store"},
    });
  }

  TEST_CASE("statuses without an S3 error") {
    check_statuses({
        {400, "", "ambiguous"},
        {401, "", "credentials, needs a person"},
        {402, "", "ambiguous"},
        {403, "", "ambiguous, needs a person"},
        {404, "", "path, needs a person"},
        {405, "", "path, needs a person"},
        {406, "", "ambiguous"},
        {407, "", "path, needs a person"},
        {408, "", "store"},
        {409, "", "ambiguous"},
        {411, "", "ambiguous, needs a person"},
        {412, "", "ambiguous"},
        {413, "", "ambiguous"},
        {414, "", "ambiguous"},
        {418, "", "ambiguous"},
        {422, "", "ambiguous"},
        {429, "", "store"},
        {431, "", "ambiguous"},
        {451, "", "ambiguous"},
        {499, "", "store"},
        {500, "", "ambiguous"},
        {501, "", "store, needs a person"},
        {502, "", "path"},
        {503, "", "store"},
        {504, "", "path"},
        {505, "", "ambiguous"},
        {507, "", "store"},
        {511, "", "path, needs a person"},
        {520, "", "ambiguous"},
        {599, "", "ambiguous"},
    });
  }

  TEST_CASE("statuses with an S3 error that we do not know") {
    check_statuses({
        {400, "NeverHeardOf", "ambiguous, may be the object's fault"},
        {401, "NeverHeardOf", "credentials, needs a person"},
        {403, "NeverHeardOf", "ambiguous, needs a person"},
        {404, "NeverHeardOf", "ambiguous"},
        {405, "NeverHeardOf", "ambiguous"},
        {407, "NeverHeardOf", "path, needs a person"},
        {408, "NeverHeardOf", "store"},
        {409, "NeverHeardOf", "ambiguous, may be the object's fault"},
        {412, "NeverHeardOf", "ambiguous, may be the object's fault"},
        {413, "NeverHeardOf", "ambiguous"},
        {418, "NeverHeardOf", "ambiguous"},
        {422, "NeverHeardOf", "ambiguous, may be the object's fault"},
        {429, "NeverHeardOf", "store"},
        {500, "NeverHeardOf", "ambiguous"},
        {501, "NeverHeardOf", "store, needs a person"},
        {502, "NeverHeardOf", "ambiguous"},
        {503, "NeverHeardOf", "store"},
        {504, "NeverHeardOf", "ambiguous"},
        {507, "NeverHeardOf", "store"},
    });
  }

  TEST_CASE("an unknown code that names somebody else never blames the object") {
    check_statuses({
        {400, "CustomerAccountClosed", "ambiguous"}, {400, "XMinioAdminSomething", "ambiguous"},
        {400, "Unauthorised", "ambiguous"},          {409, "InvalidBucketState", "ambiguous"},
        {400, "BadCredential", "ambiguous"},         {400, "WriteDenied", "ambiguous"},
        {400, "BadGatewayReply", "ambiguous"},       {400, "AccessKeyDisabled", "ambiguous"},
        {400, "KMS.DisabledException", "ambiguous"}, {400, "LicenseExpired", "ambiguous"},
        {422, "LicenceExpired", "ambiguous"},        {409, "RetentionPolicyLocked", "ambiguous"},
        {400, "MissingPermission", "ambiguous"},     {400, "ProxyLimit", "ambiguous"},
        {412, "QuotaReached", "ambiguous"},          {400, "MalformedSIGNATURE", "ambiguous"},
        {409, "TenantFrozen", "ambiguous"},          {400, "SecurityTokenGone", "ambiguous"},
        {422, "UnknownUser", "ambiguous"},
    });
  }

  TEST_CASE("an answer that no S3 store gives is something else on the way") {
    check_statuses({
        {100, "", "path, needs a person"},
        {201, "", "path, needs a person"},
        {202, "", "path, needs a person"},
        {204, "", "path, needs a person"},
        {206, "", "path, needs a person"},
        {301, "", "path, needs a person"},
        {302, "", "path, needs a person"},
        {303, "", "path, needs a person"},
        {307, "", "path, needs a person"},
        {308, "", "path, needs a person"},
        {600, "", "path, needs a person"},
        {999, "", "path, needs a person"},
        {201, "NeverHeardOf", "path, needs a person"},
        {302, "NeverHeardOf", "path, needs a person"},
    });
    CHECK(meaning(classify_answer(0, "")) == "path");
    CHECK(meaning(classify_answer(302, "EntityTooLarge")) == "path, needs a person");
  }

  TEST_CASE("only a 4xx in a store's own words blames an object") {
    for (int status = 0; status < 1000; ++status) {
      for (const std::string_view code :
           {"", "EntityTooLarge", "InvalidArgument", "NeverHeardOf", "AccessDenied"}) {
        CAPTURE(status);
        CAPTURE(code);
        const PutResult result = classify_answer(status, code);
        const bool blames_object = result.outcome == PutOutcome::refused &&
                                   (result.scope == Scope::object || result.may_be_object_fault);
        const bool may_blame = status >= 400 && status < 500 && !code.empty();
        const bool is_fair = may_blame || !blames_object;
        CHECK(is_fair);
      }
    }
  }

  TEST_CASE("a classified answer has nothing but its meaning") {
    const PutResult result = classify_answer(503, "SlowDown");
    CHECK(result.http_status == 0);
    CHECK(result.code.empty());
    CHECK(result.detail.empty());
    CHECK_FALSE(result.is_unsent);
    CHECK(result.retry_after.count() == 0);
  }

  TEST_CASE("MinIO's console in place of its API port is a wrong path") {
    const PutResult result = result_of_answer(
        400,
        "<Error><Code>InvalidArgument</Code><Message>S3 API Requests must be made to API port."
        "</Message><RequestId>0</RequestId></Error>");
    CHECK(meaning(result) == "path, needs a person");
    CHECK(result.http_status == 400);
    CHECK(result.code == "InvalidArgument");
    CHECK(result.detail ==
          "InvalidArgument: S3 API Requests must be made to API port. (request 0)");
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

  TEST_CASE("no answer at all is the path, or we gave it up ourselves") {
    struct Failure {
      CURLcode code;
      std::string_view label;
      std::string_view meaning;
    };
    for (const Failure& failure : {
             Failure{CURLE_COULDNT_RESOLVE_HOST, "dns", "path"},
             Failure{CURLE_COULDNT_RESOLVE_PROXY, "dns", "path"},
             Failure{CURLE_COULDNT_CONNECT, "could_not_connect", "path"},
             Failure{CURLE_OPERATION_TIMEDOUT, "timeout", "path"},
             Failure{CURLE_SEND_ERROR, "connection_reset", "path"},
             Failure{CURLE_RECV_ERROR, "connection_reset", "path"},
             Failure{CURLE_SEND_FAIL_REWIND, "connection_reset", "path"},
             Failure{CURLE_GOT_NOTHING, "no_answer", "path"},
             Failure{CURLE_PARTIAL_FILE, "cut_answer", "path"},
             Failure{CURLE_PROXY, "proxy", "path"},
             Failure{CURLE_OUT_OF_MEMORY, "out_of_memory", "path"},
             Failure{CURLE_SSL_CONNECT_ERROR, "tls_handshake", "path"},
             Failure{CURLE_FTP_ACCEPT_FAILED, "transport", "path"},
             Failure{CURLE_PEER_FAILED_VERIFICATION, "tls_certificate", "path, needs a person"},
             Failure{CURLE_SSL_ISSUER_ERROR, "tls_certificate", "path, needs a person"},
             Failure{CURLE_SSL_INVALIDCERTSTATUS, "tls_certificate", "path, needs a person"},
             Failure{CURLE_SSL_CACERT_BADFILE, "tls_ca_file", "path, needs a person"},
             Failure{CURLE_SSL_CLIENTCERT, "tls_client_certificate", "path, needs a person"},
             Failure{CURLE_SSL_CERTPROBLEM, "tls_client_certificate", "path, needs a person"},
             Failure{CURLE_SSL_CIPHER, "tls_cipher", "path, needs a person"},
             Failure{CURLE_UNSUPPORTED_PROTOCOL, "not_http", "path, needs a person"},
             Failure{CURLE_WEIRD_SERVER_REPLY, "not_http", "path, needs a person"},
             Failure{CURLE_URL_MALFORMAT, "bad_url", "path, needs a person"},
             Failure{CURLE_ABORTED_BY_CALLBACK, "stopped", "stopped"},
         }) {
      CAPTURE(failure.label);
      const PutResult result = result_of_failure(failure.code, "details");
      CHECK(meaning(result) == failure.meaning);
      CHECK(result.code == failure.label);
      CHECK(result.http_status == 0);
      CHECK(result.detail == "details");
    }
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

  TEST_CASE("where libcurl has no words the name of its code stands in") {
    CHECK(result_of_failure(CURLE_COULDNT_CONNECT, "").detail == "Couldn't connect to server");
  }

  TEST_CASE("every outcome and every scope has its name") {
    CHECK(m2b::to_string(PutOutcome::stored) == "stored");
    CHECK(m2b::to_string(PutOutcome::refused) == "refused");
    CHECK(m2b::to_string(PutOutcome::stopped) == "stopped");
    CHECK(m2b::to_string(Scope::object) == "object");
    CHECK(m2b::to_string(Scope::ambiguous) == "ambiguous");
    CHECK(m2b::to_string(Scope::credentials) == "credentials");
    CHECK(m2b::to_string(Scope::bucket) == "bucket");
    CHECK(m2b::to_string(Scope::store) == "store");
    CHECK(m2b::to_string(Scope::path) == "path");
  }

  TEST_CASE("a refusal that is made here needs a person where credentials and bucket do") {
    CHECK(meaning(refusal(Scope::object, 0, "")) == "object");
    CHECK(meaning(refusal(Scope::ambiguous, 0, "")) == "ambiguous");
    CHECK(meaning(refusal(Scope::credentials, 0, "")) == "credentials, needs a person");
    CHECK(meaning(refusal(Scope::bucket, 0, "")) == "bucket, needs a person");
    CHECK(meaning(refusal(Scope::store, 0, "")) == "store");
    const PutResult result = refusal(Scope::path, 502, "code", "detail");
    CHECK(meaning(result) == "path");
    CHECK(result.http_status == 502);
    CHECK(result.code == "code");
    CHECK(result.detail == "detail");
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
