#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "upload/digest.hpp"
#include "upload/http_header.hpp"

namespace m2b {

/// Who signs, and for where.
struct SigningCredentials {
  std::string_view access_key;
  std::string_view secret_key;
  std::string_view region;
};

/// A request as it will go over the wire.
struct SigningRequest {
  std::string_view method;
  std::string_view path;        // already by encode_path()
  std::string_view query = {};  // encoded, sorted, every name with its '='
  /// All headers to be signed, `host` among them; in any order and spelling.
  std::vector<HttpHeader> headers;
  std::string_view payload_sha256;  // of the body, by sha256_hex()
};

/// Signs requests by AWS Signature Version 4 for the service s3, payload in one piece ("Signature
/// Calculations for the Authorization HttpHeader", Amazon S3 API reference). Keeps the key of the
/// day, which takes four of the five steps. Not thread-safe.
class RequestSigner {
 public:
  /// The texts outlive the signer.
  explicit RequestSigner(const SigningCredentials& credentials) : credentials_(credentials) {}

  /// The headers to send beside those of the request: x-amz-content-sha256, x-amz-date,
  /// Authorization. They depend on nothing but credentials, request and time.
  [[nodiscard]] std::vector<HttpHeader> sign(const SigningRequest& request,
                                             std::chrono::sys_seconds time);

 private:
  [[nodiscard]] const std::string& key_of(std::string_view date);

  SigningCredentials credentials_;
  std::string date_;  // of the key
  std::string key_;
};

/// Every byte but A-Z a-z 0-9 - . _ ~ and '/' as %XX.
[[nodiscard]] std::string encode_path(std::string_view path);

/// The steps of RequestSigner::sign(), apart so that the published examples can pin each of them.
/// `request` holds x-amz-content-sha256 and x-amz-date here.
[[nodiscard]] std::string canonical_request(const SigningRequest& request);
[[nodiscard]] std::string string_to_sign(std::string_view canonical_request,
                                         std::string_view region, std::chrono::sys_seconds time);

}  // namespace m2b
