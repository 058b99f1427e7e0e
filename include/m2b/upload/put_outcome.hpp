#pragma once

#include <string>
#include <string_view>

namespace m2b {

/// What the pipeline does next with an object. Callers switch over it without a default.
enum class PutOutcome {
  stored,       ///< it is proven that the store has it
  retry_later,  ///< network, 5xx, 429, 408, clock: the store is away or busy, nothing is wrong with
                ///< us
  hold,         ///< credentials, bucket owner, endpoint, no S3 store, no proof: everything waits
                ///< until a person mends it
  doubtful,     ///< refused for a reason we do not know to be final: few tries, then as rejected
  rejected,     ///< this object alone can never be stored: dead letter
  stopped       ///< given up because we are stopping; never counted as a failure
};

/// The answer to one request.
struct PutResult {
  PutOutcome outcome = PutOutcome::retry_later;
  int http_status = 0;  ///< 0 when there was no answer
  std::string code;     ///< S3 error code, or the transport error's name: a bounded set, fit for a
                        ///< metric label
  std::string detail;   ///< for the log: server's message and request id, or the transport's text
  bool is_unsent = false;  ///< there was no connection, and no byte of the request went out
};

/// The name as it stands in logs and metrics.
[[nodiscard]] std::string_view to_string(PutOutcome outcome) noexcept;

/// The one table from HTTP status and S3 error code (empty when the body was no S3 error) to
/// outcome.
[[nodiscard]] PutOutcome classify_response(int http_status, std::string_view s3_code) noexcept;

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
