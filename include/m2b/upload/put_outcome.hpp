#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>

namespace m2b {

/// How one request to the store ended. Callers switch over it without a default.
enum class PutOutcome {
  stored,   ///< it is proven that the store has the bytes
  refused,  ///< by the store, by something on the way, or by nobody at all; see Scope
  stopped   ///< given up because we are stopping; never counted as a failure
};

/// What a refusal is about: the widest thing that it says something of.
enum class Scope {
  object,     ///< this object alone, by a code that is documented to mean its key, size or content
  ambiguous,  ///< the answer does not tell; what else is stored or refused does
  credentials,  ///< the access key or its account
  bucket,       ///< the bucket: missing, somebody else's, over its quota
  store,        ///< the whole store: busy, full, starting
  path          ///< what is between us and the store: network, TLS, proxy, or no S3 store at all
};

inline constexpr std::array kScopes{Scope::object, Scope::ambiguous, Scope::credentials,
                                    Scope::bucket, Scope::store,     Scope::path};

/// The answer to one request.
struct PutResult {
  PutOutcome outcome = PutOutcome::refused;
  int http_status = 0;  ///< 0 when there was no answer
  std::string code;     ///< S3 error code, or the transport error's name: a bounded set, fit for a
                        ///< metric label
  std::string detail;   ///< for the log: server's message and request id, or the transport's text
  Scope scope = Scope::path;  ///< of a refusal
  /// It does not pass by itself: somebody has to change a setting, a permission or the network.
  bool needs_person = false;
  /// An ambiguous refusal that may be the fault of this object's key, size or content, as the store
  /// itself says. What accounts, gateways, proxies and quotas say never is.
  bool may_be_object_fault = false;
  bool is_unsent = false;  ///< there was no connection, and no byte of the request went out
  /// How long the server asks us to wait (Retry-After, RFC 9110 section 10.2.3), at most
  /// kMaxRetryAfter; 0: it does not say.
  std::chrono::seconds retry_after{0};
};

/// A longer wait is not believed: a repaired store must not stay unused for hours.
inline constexpr std::chrono::seconds kMaxRetryAfter{60};

[[nodiscard]] inline PutResult stored_result(int http_status = 200) {
  PutResult result;
  result.outcome = PutOutcome::stored;
  result.http_status = http_status;
  return result;
}

/// A refusal; `needs_person` where the scope is credentials or bucket.
[[nodiscard]] PutResult refusal(Scope scope, int http_status, std::string_view code,
                                std::string_view detail = {});

/// The names as they stand in logs and metrics.
[[nodiscard]] std::string_view to_string(PutOutcome outcome) noexcept;
[[nodiscard]] std::string_view to_string(Scope scope) noexcept;

/// The one table from HTTP status and S3 error code to what the answer means: outcome, scope,
/// needs_person and may_be_object_fault; the other fields stay empty. `s3_code` is empty when the
/// body was no S3 error: then a proxy, a gateway or some other server answered.
[[nodiscard]] PutResult classify_answer(int http_status, std::string_view s3_code);

/// `<Code>`, `<Message>` and `<RequestId>` of an S3 error document; fields stay empty where the
/// text is none. Never fails: the body may be anything, for example the page of a proxy.
struct S3Error {
  std::string code;
  std::string message;
  std::string request_id;
};
[[nodiscard]] S3Error parse_s3_error(std::string_view body);
/// Whether the text begins as an S3 error document does, whatever else is in it.
[[nodiscard]] bool looks_like_s3_error(std::string_view body);
/// Whether the text can be the body of an S3 store's success: nothing or a document, which no page
/// for a browser is.
[[nodiscard]] bool may_be_s3_body(std::string_view body);
/// Whether the text is the document that tells where a bucket is (GetBucketLocation).
[[nodiscard]] bool is_bucket_location(std::string_view body);

}  // namespace m2b
