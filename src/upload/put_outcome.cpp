#include "m2b/upload/put_outcome.hpp"

#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/format.h>

#include "m2b/util/ascii.hpp"
#include "upload/classify.hpp"

namespace m2b {
namespace {

/// What a refusal means.
struct Meaning {
  Scope scope;
  bool needs_person = false;
  bool may_be_object_fault = false;
};

constexpr Meaning kObjectFault{Scope::object};
constexpr Meaning kMaybeObjectFault{Scope::ambiguous, false, true};
constexpr Meaning kAmbiguous{Scope::ambiguous};
constexpr Meaning kAmbiguousForPerson{Scope::ambiguous, true};
constexpr Meaning kWrongCredentials{Scope::credentials, true};
constexpr Meaning kWrongBucket{Scope::bucket, true};
constexpr Meaning kStoreBusy{Scope::store};
constexpr Meaning kStoreCannot{Scope::store, true};
constexpr Meaning kPathDown{Scope::path};
constexpr Meaning kPathWrong{Scope::path, true};

struct CodeRow {
  std::string_view code;
  Meaning meaning;
};

/// S3 error codes, those of Amazon unless another store is named. The first part of the table: a
/// code that is known decides, whatever its status (see is_believed()).
constexpr std::array kCodes{
    // This object alone.
    CodeRow{"EntityTooLarge", kObjectFault},
    CodeRow{"KeyTooLongError", kObjectFault},
    CodeRow{"MetadataTooLarge", kObjectFault},
    CodeRow{"XMinioInvalidObjectName", kObjectFault},
    CodeRow{"XMinioInvalidResourceName", kObjectFault},
    CodeRow{"XMinioObjectExistsAsDirectory", kObjectFault},
    CodeRow{"XMinioParentIsObject", kObjectFault},
    // This object, or something that changes requests on the way.
    CodeRow{"InvalidArgument", kMaybeObjectFault},
    CodeRow{"InvalidRequest", kMaybeObjectFault},
    // Damaged on the way, which is never the object's fault.
    CodeRow{"BadDigest", kAmbiguous},
    CodeRow{"InvalidDigest", kAmbiguous},
    CodeRow{"XAmzContentChecksumMismatch", kAmbiguous},
    CodeRow{"XAmzContentSHA256Mismatch", kAmbiguous},
    // One object, one prefix, or everything.
    CodeRow{"AccessDenied", kAmbiguousForPerson},
    CodeRow{"InternalError", kAmbiguous},
    CodeRow{"MethodNotAllowed", kAmbiguousForPerson},
    CodeRow{"MissingContentLength", kAmbiguousForPerson},   // something on the way takes it off
    CodeRow{"MissingSecurityHeader", kAmbiguousForPerson},  // likewise
    // The access key or its account.
    CodeRow{"AccountDisabled", kWrongCredentials},  // Google
    CodeRow{"AccountProblem", kWrongCredentials},
    CodeRow{"AccountSuspended", kWrongCredentials},
    CodeRow{"AllAccessDisabled", kWrongCredentials},
    CodeRow{"ExpiredToken", kWrongCredentials},
    CodeRow{"InvalidAccessKeyId", kWrongCredentials},
    CodeRow{"InvalidClientTokenId", kWrongCredentials},
    CodeRow{"InvalidSecurity", kWrongCredentials},
    CodeRow{"InvalidToken", kWrongCredentials},
    CodeRow{"InvalidTokenId", kWrongCredentials},   // MinIO
    CodeRow{"NoSuchAccessKey", kWrongCredentials},  // Garage
    CodeRow{"NoSuchUser", kWrongCredentials},       // Ceph
    CodeRow{"NotSignedUp", kWrongCredentials},
    CodeRow{"SignatureDoesNotMatch", kWrongCredentials},
    CodeRow{"TokenRefreshRequired", kWrongCredentials},
    CodeRow{"UnauthorizedAccess", kWrongCredentials},
    CodeRow{"UserDisable", kWrongCredentials},                // Alibaba
    CodeRow{"UserProjectAccountProblem", kWrongCredentials},  // Google
    CodeRow{"UserSuspended", kWrongCredentials},              // Ceph
    CodeRow{"XAdminUserNotFound", kWrongCredentials},         // versitygw
    CodeRow{"XMinioAdminNoSuchAccessKey", kWrongCredentials},
    CodeRow{"XMinioAdminNoSuchUser", kWrongCredentials},
    CodeRow{"XMinioInvalidIAMCredentials", kWrongCredentials},
    // The bucket or its region.
    CodeRow{"AuthorizationHeaderMalformed", kWrongBucket},  // another region than ours
    CodeRow{"BucketAlreadyExists", kWrongBucket},           // and belongs to somebody else
    CodeRow{"IllegalLocationConstraintException", kWrongBucket},
    CodeRow{"InvalidBucketName", kWrongBucket},
    CodeRow{"InvalidLocationConstraint", kWrongBucket},
    CodeRow{"InvalidRegion", kWrongBucket},
    CodeRow{"NoSuchBucket", kWrongBucket},   // after creating it did not help
    CodeRow{"QuotaExceeded", kWrongBucket},  // Ceph
    CodeRow{"TooManyBuckets", kWrongBucket},
    CodeRow{"XMinioAdminBucketQuotaExceeded", kWrongBucket},
    // The store is away, busy or full for a while.
    CodeRow{"IncompleteBody", kStoreBusy},  // MinIO says so when its disk fills up
    CodeRow{"OperationAborted", kStoreBusy},
    CodeRow{"RequestTimeTooSkewed", kStoreBusy},
    CodeRow{"RequestTimeout", kStoreBusy},
    CodeRow{"ServiceUnavailable", kStoreBusy},
    CodeRow{"SlowDown", kStoreBusy},
    CodeRow{"SlowDownRead", kStoreBusy},
    CodeRow{"SlowDownWrite", kStoreBusy},
    CodeRow{"TooManyRequests", kStoreBusy},
    CodeRow{"XMinioBackendDown", kStoreBusy},
    CodeRow{"XMinioBucketMetadataNotInitialized", kStoreBusy},
    CodeRow{"XMinioIAMNotInitialized", kStoreBusy},
    CodeRow{"XMinioServerNotInitialized", kStoreBusy},
    CodeRow{"XMinioStorageFull", kStoreBusy},
    // The store cannot do what we need.
    CodeRow{"InvalidStorageClass", kStoreCannot},
    CodeRow{"NotImplemented", kStoreCannot},
    // Another address than ours.
    CodeRow{"PermanentRedirect", kPathWrong},
    CodeRow{"Redirect", kPathWrong},
    CodeRow{"TemporaryRedirect", kPathWrong},
};

struct StatusRow {
  int status;
  Meaning bare;      // without an S3 error: a proxy, a gateway or some other server answered
  Meaning of_store;  // with an S3 error whose code is unknown, or not believed
};

/// The second part of the table. What is not in it: meaning_of_status().
constexpr std::array kStatuses{
    StatusRow{400, kAmbiguous, kMaybeObjectFault},
    StatusRow{401, kWrongCredentials, kWrongCredentials},
    StatusRow{403, kAmbiguousForPerson, kAmbiguousForPerson},
    StatusRow{404, kPathWrong, kAmbiguous},
    StatusRow{405, kPathWrong, kAmbiguous},
    StatusRow{407, kPathWrong, kPathWrong},  // a proxy wants credentials
    StatusRow{408, kStoreBusy, kStoreBusy},  // Request Timeout
    StatusRow{409, kAmbiguous, kMaybeObjectFault},
    StatusRow{411, kAmbiguousForPerson, kAmbiguousForPerson},  // as MissingContentLength
    StatusRow{412, kAmbiguous, kMaybeObjectFault},
    StatusRow{422, kAmbiguous, kMaybeObjectFault},
    StatusRow{429, kStoreBusy, kStoreBusy},  // Too Many Requests
    StatusRow{499, kStoreBusy, kStoreBusy},  // MinIO and nginx: client closed the request
    StatusRow{501, kStoreCannot, kStoreCannot},
    StatusRow{502, kPathDown, kAmbiguous},
    StatusRow{503, kStoreBusy, kStoreBusy},
    StatusRow{504, kPathDown, kAmbiguous},
    StatusRow{507, kStoreBusy, kStoreBusy},  // Insufficient Storage
    StatusRow{511, kPathWrong, kPathWrong},  // a network wants a login
};

/// Parts of names by which a code that we do not know tells that it is about somebody or something
/// else than the object.
constexpr std::array<std::string_view, 18> kWordsOfOthers{
    "account", "admin", "auth",   "bucket", "credential", "denied",    "gateway", "key",   "kms",
    "licen",   "polic", "permis", "proxy",  "quota",      "signature", "tenant",  "token", "user"};

const CodeRow* find_code(std::string_view code) noexcept {
  const auto* const row = std::find_if(kCodes.begin(), kCodes.end(),
                                       [code](const CodeRow& each) { return each.code == code; });
  return row == kCodes.end() ? nullptr : row;
}

/// A 5xx is the server's own trouble. What it says then against keys, buckets, objects and settings
/// may be wrong, as long as its account service is away for example, and passes with the trouble.
bool is_believed(const Meaning& meaning, int http_status) noexcept {
  const bool blames_others =
      meaning.needs_person || meaning.may_be_object_fault || meaning.scope == Scope::object;
  return http_status < 500 || !blames_others;
}

bool is_about_others(std::string_view code) {
  const std::string name = ascii_lower(code);
  return std::any_of(kWordsOfOthers.begin(), kWordsOfOthers.end(), [&name](std::string_view word) {
    return name.find(word) != std::string::npos;
  });
}

Meaning meaning_of_status(int http_status, std::string_view s3_code) {
  const auto* const row =
      std::find_if(kStatuses.begin(), kStatuses.end(),
                   [http_status](const StatusRow& each) { return each.status == http_status; });
  if (row == kStatuses.end()) return kAmbiguous;
  if (s3_code.empty()) return row->bare;
  const bool spares_object = row->of_store.may_be_object_fault && is_about_others(s3_code);
  return spares_object ? kAmbiguous : row->of_store;
}

Meaning meaning_of_answer(int http_status, std::string_view s3_code) {
  if (http_status == 0) return kPathDown;
  // Redirects (wrong endpoint or region), and what no S3 store says.
  if (http_status < 400 || http_status >= 600) return kPathWrong;
  const CodeRow* const row = find_code(s3_code);
  const bool code_decides = row != nullptr && is_believed(row->meaning, http_status);
  return code_decides ? row->meaning : meaning_of_status(http_status, s3_code);
}

PutResult refusal_of(const Meaning& meaning) {
  PutResult result;
  result.outcome = PutOutcome::refused;
  result.scope = meaning.scope;
  result.needs_person = meaning.needs_person;
  result.may_be_object_fault = meaning.may_be_object_fault;
  return result;
}

/// MinIO's console says this, as InvalidArgument, to whoever takes it for the store.
constexpr std::string_view kConsoleMessage = "S3 API Requests must be made to API port";

struct TransportRow {
  CURLcode code;
  Meaning meaning;
  std::string_view label;
};

/// The third part of the table: why there was no answer.
constexpr std::array kTransport{
    TransportRow{CURLE_COULDNT_RESOLVE_HOST, kPathDown, "dns"},
    TransportRow{CURLE_COULDNT_RESOLVE_PROXY, kPathDown, "dns"},
    TransportRow{CURLE_COULDNT_CONNECT, kPathDown, "could_not_connect"},
    TransportRow{CURLE_OPERATION_TIMEDOUT, kPathDown, "timeout"},
    TransportRow{CURLE_SEND_ERROR, kPathDown, "connection_reset"},
    TransportRow{CURLE_RECV_ERROR, kPathDown, "connection_reset"},
    TransportRow{CURLE_SEND_FAIL_REWIND, kPathDown, "connection_reset"},
    TransportRow{CURLE_GOT_NOTHING, kPathDown, "no_answer"},
    TransportRow{CURLE_PARTIAL_FILE, kPathDown, "cut_answer"},
    TransportRow{CURLE_PROXY, kPathDown, "proxy"},
    TransportRow{CURLE_OUT_OF_MEMORY, kPathDown, "out_of_memory"},
    // Also what a store says that is just going down or coming up behind a balancer.
    TransportRow{CURLE_SSL_CONNECT_ERROR, kPathDown, "tls_handshake"},
    TransportRow{CURLE_PEER_FAILED_VERIFICATION, kPathWrong, "tls_certificate"},
    TransportRow{CURLE_SSL_ISSUER_ERROR, kPathWrong, "tls_certificate"},
    TransportRow{CURLE_SSL_INVALIDCERTSTATUS, kPathWrong, "tls_certificate"},
    TransportRow{CURLE_SSL_CACERT_BADFILE, kPathWrong, "tls_ca_file"},
    TransportRow{CURLE_SSL_CLIENTCERT, kPathWrong, "tls_client_certificate"},
    TransportRow{CURLE_SSL_CERTPROBLEM, kPathWrong, "tls_client_certificate"},
    TransportRow{CURLE_SSL_CIPHER, kPathWrong, "tls_cipher"},
    TransportRow{CURLE_UNSUPPORTED_PROTOCOL, kPathWrong, "not_http"},
    TransportRow{CURLE_WEIRD_SERVER_REPLY, kPathWrong, "not_http"},
    TransportRow{CURLE_URL_MALFORMAT, kPathWrong, "bad_url"},
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
  return {code, kPathDown, "transport"};
}

}  // namespace

PutResult refusal(Scope scope, int http_status, std::string_view code, std::string_view detail) {
  PutResult result;
  result.outcome = PutOutcome::refused;
  result.http_status = http_status;
  result.code = code;
  result.detail = detail;
  result.scope = scope;
  result.needs_person = scope == Scope::credentials || scope == Scope::bucket;
  return result;
}

std::string_view to_string(PutOutcome outcome) noexcept {
  switch (outcome) {
    case PutOutcome::stored:
      return "stored";
    case PutOutcome::refused:
      return "refused";
    case PutOutcome::stopped:
      return "stopped";
  }
  assert(false);
  return "unknown";
}

std::string_view to_string(Scope scope) noexcept {
  switch (scope) {
    case Scope::object:
      return "object";
    case Scope::ambiguous:
      return "ambiguous";
    case Scope::credentials:
      return "credentials";
    case Scope::bucket:
      return "bucket";
    case Scope::store:
      return "store";
    case Scope::path:
      return "path";
  }
  assert(false);
  return "unknown";
}

PutResult classify_answer(int http_status, std::string_view s3_code) {
  if (http_status != 200) return refusal_of(meaning_of_answer(http_status, s3_code));
  PutResult result;
  result.outcome = PutOutcome::stored;
  return result;
}

PutResult result_of_answer(int http_status, std::string_view body) {
  constexpr std::size_t kMaxDetailBytes = 256;
  const S3Error error = parse_s3_error(body);
  PutResult result = classify_answer(http_status, error.code);
  if (result.outcome == PutOutcome::stored) return stored_result(http_status);

  // Only the words tell this one, and its code alone would blame the object.
  if (error.message.starts_with(kConsoleMessage)) result = refusal_of(kPathWrong);
  result.http_status = http_status;
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
  PutResult result;
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    result.outcome = PutOutcome::stopped;
    result.code = "stopped";
  } else {
    const TransportRow row = find_transport(code);
    result = refusal_of(row.meaning);
    result.code = row.label;
  }
  result.detail = text.empty() ? curl_easy_strerror(code) : text;
  result.is_unsent = is_without_connection(code);
  return result;
}

}  // namespace m2b
