#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/object/object_key.hpp"
#include "m2b/upload/put_outcome.hpp"
#include "m2b/upload/store_context.hpp"
#include "upload/http_connection.hpp"
#include "upload/http_header.hpp"
#include "upload/pipelined_heads.hpp"
#include "upload/sigv4.hpp"

namespace m2b {

/// A request to the store, not yet signed.
struct S3Request {
  HttpMethod method = HttpMethod::get;
  std::string path;             // encoded
  std::string_view query = {};  // encoded, sorted
  std::vector<HttpHeader> headers;
  BodyPieces body;
  std::string body_sha256 = {};  // 32 bytes, where the caller knows it
  bool signs_body = true;        // false: another signed header is its checksum
};

struct S3Answer {
  PutResult result;
  StoreResponse response;
};

/// Signs requests to one bucket's store and sends them. Belongs to one thread.
class S3Connection final {
 public:
  /// The context outlives the connection.
  explicit S3Connection(StoreContext& context);

  /// Of the connection in use: how many there have been.
  [[nodiscard]] std::size_t number() const noexcept { return http_.number(); }
  [[nodiscard]] const std::string& bucket_path() const noexcept { return bucket_path_; }
  /// Of the object of that key in the bucket, encoded.
  [[nodiscard]] std::string object_path(std::string_view key) const;

  /// Sends; again with another time should the refusal be able to come from ours, and with other
  /// credentials should the store refuse those in use and there be some by now.
  [[nodiscard]] S3Answer send(const S3Request& request, const std::stop_token& abort);

  /// HEAD for each path, all in one go, over a connection of its own, with the object's checksum
  /// where the store has one.
  [[nodiscard]] HeadRound heads(std::span<const std::string> paths, const std::stop_token& abort);

 private:
  [[nodiscard]] S3Answer send_once(const S3Request& request, std::chrono::seconds clock_offset,
                                   const std::stop_token& abort);
  /// Finds out why TLS fails, in words for the one who has to mend it.
  void explain(PutResult& failure, const std::stop_token& abort) const;
  [[nodiscard]] StoreRequest sign(const S3Request& request, std::chrono::seconds clock_offset);
  [[nodiscard]] std::string sign_head(std::string_view path, std::string_view empty_sha256);
  [[nodiscard]] std::vector<HttpHeader> signed_headers(std::string_view method,
                                                       const S3Request& request,
                                                       std::string_view payload_sha256,
                                                       std::chrono::seconds clock_offset);
  /// Makes a new signer when the credentials have changed.
  void refresh_signer();
  /// Sends with other times, after a refusal that may be about the time, and keeps the one that
  /// is not refused.
  void correct_clock(S3Answer& answer, const S3Request& request, const std::stop_token& abort);

  StoreContext& context_;
  const std::string host_;
  const std::string origin_;
  const std::string bucket_path_;
  std::shared_ptr<const Credentials> credentials_;  // those of the signer
  std::optional<RequestSigner> signer_;
  HttpConnection http_;
  PipelinedHeads heads_;
};

}  // namespace m2b
