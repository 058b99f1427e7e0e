#pragma once

#include <string>
#include <string_view>

#include "upload/head_answer.hpp"
#include "upload/http_body.hpp"
#include "upload/http_connection.hpp"

namespace m2b {

/// What the store has to have, to compare with what it says it has.
struct UploadedBody {
  std::string_view bytes;
  std::string sha256;  // 32 bytes

  /// As the store echoes it in `x-amz-checksum-sha256`.
  [[nodiscard]] std::string checksum() const;
  /// One in the same form that is not that of the bytes.
  [[nodiscard]] std::string wrong_checksum() const;
};

enum class PutEvidence {
  checksum,   ///< proof: a store that is known to compute checksums tells the same SHA-256
  md5,        ///< proof: the ETag is the MD5 of the bytes
  echo_only,  ///< the SHA-256, which was in the request, comes back from who knows whom
  etag_only,  ///< an S3 store's answer by its form, but it says nothing of the bytes
  none        ///< no S3 store gives such an answer
};

struct PutFinding {
  PutEvidence evidence = PutEvidence::none;
  std::string_view cause = {};  // why none: a sentence of a bounded set
};

/// What makes a success one that no S3 store gives to a PUT: a sentence of a bounded set; empty
/// where it is one by its form.
[[nodiscard]] std::string_view fault_of_put(const StoreResponse& response);

/// Reads the answer to a PUT as what it proves (decision 0026). Status and form count as well:
/// whatever stands between us and the store, from captive portals to caches, says 200 too.
/// `computes`: the peer has shown that it computes checksums, and does not send back what it gets.
[[nodiscard]] PutFinding examine_put(const StoreResponse& response, const UploadedBody& body,
                                     bool computes);

/// Whether a store answers so to a checksum that is not that of the bytes: it has computed it.
[[nodiscard]] bool is_checksum_refusal(const StoreResponse& response);

/// The metadata by which a HEAD shows that an object is the one that was put, and its value.
inline constexpr std::string_view kDigestName = "sha256";
[[nodiscard]] std::string digest_value(const UploadedBody& body);

/// Why a HEAD, asked after a PUT that was answered with this (strong) ETag, does not prove that the
/// store has the bytes: a sentence of a bounded set; empty where it does.
[[nodiscard]] std::string_view doubt_of_head(const HeadAnswer& answer, std::string_view put_etag,
                                             const UploadedBody& body);

}  // namespace m2b
