#include "m2b/upload/put_outcome.hpp"

#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/format.h>

#include "upload/classify.hpp"

namespace m2b {
namespace {

struct CodeRow {
  std::string_view code;
  PutOutcome outcome;
};

/// S3 error codes of 4xx answers (and those of 5xx that deserve their name in the metrics).
constexpr std::array kCodes{
    // The store is away, busy or full for a while.
    CodeRow{"IncompleteBody", PutOutcome::retry_later},  // MinIO says so when its disk fills up
    CodeRow{"InternalError", PutOutcome::retry_later},
    CodeRow{"OperationAborted", PutOutcome::retry_later},
    CodeRow{"RequestTimeout", PutOutcome::retry_later},
    CodeRow{"RequestTimeTooSkewed", PutOutcome::retry_later},
    CodeRow{"ServiceUnavailable", PutOutcome::retry_later},
    CodeRow{"SlowDown", PutOutcome::retry_later},
    CodeRow{"SlowDownRead", PutOutcome::retry_later},
    CodeRow{"SlowDownWrite", PutOutcome::retry_later},
    CodeRow{"TooManyRequests", PutOutcome::retry_later},
    CodeRow{"XMinioBackendDown", PutOutcome::retry_later},
    CodeRow{"XMinioServerNotInitialized", PutOutcome::retry_later},
    CodeRow{"XMinioStorageFull", PutOutcome::retry_later},
    // Credentials.
    CodeRow{"AccessDenied", PutOutcome::hold},
    CodeRow{"AccountProblem", PutOutcome::hold},
    CodeRow{"AllAccessDisabled", PutOutcome::hold},
    CodeRow{"ExpiredToken", PutOutcome::hold},
    CodeRow{"InvalidAccessKeyId", PutOutcome::hold},
    CodeRow{"InvalidSecurity", PutOutcome::hold},
    CodeRow{"InvalidToken", PutOutcome::hold},
    CodeRow{"InvalidTokenId", PutOutcome::hold},
    CodeRow{"NotSignedUp", PutOutcome::hold},
    CodeRow{"SignatureDoesNotMatch", PutOutcome::hold},
    // Bucket, endpoint, region, settings of the store.
    CodeRow{"AuthorizationHeaderMalformed", PutOutcome::hold},  // another region than ours
    CodeRow{"BucketAlreadyExists", PutOutcome::hold},           // and belongs to somebody else
    CodeRow{"IllegalLocationConstraintException", PutOutcome::hold},
    CodeRow{"InvalidBucketName", PutOutcome::hold},
    CodeRow{"InvalidLocationConstraint", PutOutcome::hold},
    CodeRow{"InvalidRegion", PutOutcome::hold},
    CodeRow{"InvalidStorageClass", PutOutcome::hold},
    CodeRow{"MethodNotAllowed", PutOutcome::hold},
    CodeRow{"MissingContentLength", PutOutcome::hold},  // something on the way takes it off
    CodeRow{"NoSuchBucket", PutOutcome::hold},          // after creating it did not help
    CodeRow{"NotImplemented", PutOutcome::hold},
    CodeRow{"PermanentRedirect", PutOutcome::hold},
    CodeRow{"QuotaExceeded", PutOutcome::hold},
    CodeRow{"Redirect", PutOutcome::hold},
    CodeRow{"TemporaryRedirect", PutOutcome::hold},
    CodeRow{"TooManyBuckets", PutOutcome::hold},
    CodeRow{"XMinioAdminBucketQuotaExceeded", PutOutcome::hold},
    // This object alone.
    CodeRow{"EntityTooLarge", PutOutcome::rejected},
    CodeRow{"KeyTooLongError", PutOutcome::rejected},
    CodeRow{"MetadataTooLarge", PutOutcome::rejected},
    CodeRow{"XMinioInvalidObjectName", PutOutcome::rejected},
    CodeRow{"XMinioInvalidResourceName", PutOutcome::rejected},
    CodeRow{"XMinioObjectExistsAsDirectory", PutOutcome::rejected},
    CodeRow{"XMinioParentIsObject", PutOutcome::rejected},
    // Damaged on the way, or refused for a reason that may or may not stay.
    CodeRow{"BadDigest", PutOutcome::doubtful},
    CodeRow{"InvalidArgument", PutOutcome::doubtful},
    CodeRow{"InvalidDigest", PutOutcome::doubtful},
    CodeRow{"XAmzContentChecksumMismatch", PutOutcome::doubtful},
    CodeRow{"XAmzContentSHA256Mismatch", PutOutcome::doubtful},
};

const CodeRow* find_code(std::string_view code) noexcept {
  const auto* const row = std::find_if(kCodes.begin(), kCodes.end(),
                                       [code](const CodeRow& each) { return each.code == code; });
  return row == kCodes.end() ? nullptr : row;
}

/// MinIO's console says this, as InvalidArgument, to whoever takes it for the store.
constexpr std::string_view kConsoleMessage = "S3 API Requests must be made to API port";

/// 4xx.
PutOutcome classify_refusal(int http_status, std::string_view s3_code) noexcept {
  if (const CodeRow* const row = find_code(s3_code)) return row->outcome;
  switch (http_status) {
    case 408:  // Request Timeout
    case 429:  // Too Many Requests
    case 499:  // MinIO and nginx: client closed the request
      return PutOutcome::retry_later;
    case 401:
    case 403:
    case 407:  // a proxy wants credentials
      return PutOutcome::hold;
    case 413:  // a proxy's limits: about this request, others may pass
    case 414:
    case 431:
      return PutOutcome::doubtful;
    default:
      // Without an S3 error it was not a store that answered.
      return s3_code.empty() ? PutOutcome::hold : PutOutcome::doubtful;
  }
}

struct TransportRow {
  CURLcode code;
  PutOutcome outcome;
  std::string_view label;
};

constexpr std::array kTransport{
    TransportRow{CURLE_ABORTED_BY_CALLBACK, PutOutcome::stopped, "stopped"},
    TransportRow{CURLE_COULDNT_RESOLVE_HOST, PutOutcome::retry_later, "dns"},
    TransportRow{CURLE_COULDNT_RESOLVE_PROXY, PutOutcome::retry_later, "dns"},
    TransportRow{CURLE_COULDNT_CONNECT, PutOutcome::retry_later, "could_not_connect"},
    TransportRow{CURLE_OPERATION_TIMEDOUT, PutOutcome::retry_later, "timeout"},
    TransportRow{CURLE_SEND_ERROR, PutOutcome::retry_later, "connection_reset"},
    TransportRow{CURLE_RECV_ERROR, PutOutcome::retry_later, "connection_reset"},
    TransportRow{CURLE_SEND_FAIL_REWIND, PutOutcome::retry_later, "connection_reset"},
    TransportRow{CURLE_GOT_NOTHING, PutOutcome::retry_later, "no_answer"},
    TransportRow{CURLE_PARTIAL_FILE, PutOutcome::retry_later, "cut_answer"},
    TransportRow{CURLE_PROXY, PutOutcome::retry_later, "proxy"},
    TransportRow{CURLE_OUT_OF_MEMORY, PutOutcome::retry_later, "out_of_memory"},
    // Also what a store says that is just going down or coming up behind a balancer.
    TransportRow{CURLE_SSL_CONNECT_ERROR, PutOutcome::retry_later, "tls_handshake"},
    TransportRow{CURLE_PEER_FAILED_VERIFICATION, PutOutcome::hold, "tls_certificate"},
    TransportRow{CURLE_SSL_ISSUER_ERROR, PutOutcome::hold, "tls_certificate"},
    TransportRow{CURLE_SSL_INVALIDCERTSTATUS, PutOutcome::hold, "tls_certificate"},
    TransportRow{CURLE_SSL_CACERT_BADFILE, PutOutcome::hold, "tls_ca_file"},
    TransportRow{CURLE_SSL_CLIENTCERT, PutOutcome::hold, "tls_client_certificate"},
    TransportRow{CURLE_SSL_CERTPROBLEM, PutOutcome::hold, "tls_client_certificate"},
    TransportRow{CURLE_SSL_CIPHER, PutOutcome::hold, "tls_cipher"},
    TransportRow{CURLE_UNSUPPORTED_PROTOCOL, PutOutcome::hold, "not_http"},
    TransportRow{CURLE_WEIRD_SERVER_REPLY, PutOutcome::hold, "not_http"},
    TransportRow{CURLE_URL_MALFORMAT, PutOutcome::hold, "bad_url"},
};

bool is_without_connection(CURLcode code) noexcept {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT;
}

TransportRow find_transport(CURLcode code) noexcept {
  const auto* const row =
      std::find_if(kTransport.begin(), kTransport.end(),
                   [code](const TransportRow& each) { return each.code == code; });
  if (row != kTransport.end()) return *row;
  return {code, PutOutcome::retry_later, "transport"};
}

}  // namespace

std::string_view to_string(PutOutcome outcome) noexcept {
  switch (outcome) {
    case PutOutcome::stored:
      return "stored";
    case PutOutcome::retry_later:
      return "retry_later";
    case PutOutcome::hold:
      return "hold";
    case PutOutcome::doubtful:
      return "doubtful";
    case PutOutcome::rejected:
      return "rejected";
    case PutOutcome::stopped:
      return "stopped";
  }
  assert(false);
  return "unknown";
}

PutOutcome classify_response(int http_status, std::string_view s3_code) noexcept {
  if (http_status == 0) return PutOutcome::retry_later;
  if (http_status == 200) return PutOutcome::stored;
  if (http_status == 501) return PutOutcome::hold;  // whatever answers cannot PUT
  if (http_status >= 500 && http_status < 600) return PutOutcome::retry_later;
  if (http_status >= 400 && http_status < 500) return classify_refusal(http_status, s3_code);
  return PutOutcome::hold;  // redirects (wrong endpoint or region), and what no S3 store says
}

PutResult result_of_answer(int http_status, std::string_view body) {
  constexpr std::size_t kMaxDetailBytes = 256;
  PutResult result;
  result.http_status = http_status;
  const S3Error error = parse_s3_error(body);
  result.outcome = classify_response(http_status, error.code);
  if (result.outcome == PutOutcome::stored) return result;

  // Only the words tell this one, and as doubtful it would send every object to the dead letters.
  if (error.message.starts_with(kConsoleMessage)) result.outcome = PutOutcome::hold;
  result.code = find_code(error.code) != nullptr ? error.code : fmt::format("http_{}", http_status);
  if (error.code.empty()) {
    result.detail = body.substr(0, kMaxDetailBytes);
  } else {
    result.detail =
        fmt::format("{}: {} (request {})", error.code, error.message.substr(0, kMaxDetailBytes),
                    error.request_id.substr(0, kMaxDetailBytes));
  }
  return result;
}

PutResult result_of_failure(CURLcode code, std::string_view text) {
  const TransportRow row = find_transport(code);
  PutResult result;
  result.outcome = row.outcome;
  result.code = row.label;
  result.detail = text.empty() ? curl_easy_strerror(code) : text;
  result.is_unsent = is_without_connection(code);
  return result;
}

}  // namespace m2b
