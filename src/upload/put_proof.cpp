#include "upload/put_proof.hpp"

#include <algorithm>

#include "m2b/upload/put_outcome.hpp"
#include "upload/digest.hpp"
#include "upload/http_header.hpp"

namespace m2b {
namespace {

constexpr int kOk = 200;

}  // namespace

std::string UploadedBody::checksum() const { return base64(sha256); }

std::string UploadedBody::wrong_checksum() const {
  std::string other = sha256;
  other.front() = static_cast<char>(~other.front());
  return base64(other);
}

std::string_view fault_of_put(const StoreResponse& response) {
  if (response.status != kOk) return "a success that S3 does not give to an upload";
  if (!response.fault.empty()) return response.fault;
  if (looks_like_s3_error(response.body)) return "a success with an error as its body";
  if (!may_be_s3_body(response.body)) return "a success with a page as its body";
  if (strong_etag(response.etag).empty()) return "a success without a strong ETag";
  return {};
}

PutFinding examine_put(const StoreResponse& response, const UploadedBody& body, bool computes) {
  const std::string_view fault = fault_of_put(response);
  if (!fault.empty()) return {PutEvidence::none, fault};
  const bool is_echoed = !response.sha256.empty();
  if (is_echoed && response.sha256 != body.checksum()) {
    return {PutEvidence::none, "a success with the checksum of other bytes"};
  }
  if (is_echoed && computes) return {PutEvidence::checksum};
  if (strong_etag(response.etag) == md5_hex(body.bytes)) return {PutEvidence::md5};
  return {is_echoed ? PutEvidence::echo_only : PutEvidence::etag_only};
}

bool is_checksum_refusal(const StoreResponse& response) {
  constexpr int kBadRequest = 400;
  const std::string code = parse_s3_error(response.body).code;
  return response.status == kBadRequest &&
         (code == "BadDigest" || code == "InvalidDigest" || code == "XAmzContentChecksumMismatch");
}

std::string digest_value(const UploadedBody& body) { return base64(body.sha256); }

std::string_view doubt_of_head(const HeadAnswer& answer, std::string_view put_etag,
                               const UploadedBody& body) {
  if (answer.status != kOk) return "the object cannot be looked at";
  if (answer.etag != put_etag) return "the object has another ETag than the upload";
  if (answer.content_length != body.bytes.size()) return "the object has another size";
  if (!answer.sha256.empty()) {
    return answer.sha256 == body.checksum() ? "" : "the object has the checksum of other bytes";
  }
  const bool has_digest =
      std::any_of(answer.metadata.begin(), answer.metadata.end(), [&](const auto& entry) {
        return entry.first == kDigestName && entry.second == digest_value(body);
      });
  return has_digest ? "" : "the object has not the digest that was put with it";
}

}  // namespace m2b
