#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace m2b {

/// What the answer to a HEAD says of an object.
struct HeadAnswer {
  int status = 0;
  std::optional<std::uint64_t> content_length;
  std::string etag;   // without its quotes; empty if there is none, or a weak one
  std::string code;   // the S3 error code, where MinIO tells it (x-minio-error-code)
  bool last = false;  // the server closes the connection behind it
  std::string content_type = {};
  /// Names without `x-amz-meta-`, in lower case.
  std::vector<std::pair<std::string, std::string>> metadata = {};
  std::string sha256 = {};  // x-amz-checksum-sha256; empty if there is none
};

/// Reads status line and headers, without the empty line that ends them (RFC 9112, sections 4 and
/// 5). Nothing where it is not a final HTTP/1 answer, or says something twice that matters here.
[[nodiscard]] std::optional<HeadAnswer> parse_head_answer(std::string_view head);

}  // namespace m2b
