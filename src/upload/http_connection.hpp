#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/upload/store_context.hpp"
#include "upload/curl.hpp"
#include "upload/http_body.hpp"
#include "upload/http_header.hpp"

namespace m2b {

enum class HttpMethod { get, put, del };

struct StoreRequest {
  HttpMethod method = HttpMethod::get;
  std::string url;  // path and query already encoded; goes out as it is
  /// Sent as they are, `Host` among them; libcurl adds Accept, User-Agent and Content-Length.
  std::vector<HttpHeader> headers;
  BodyPieces body;  // of a PUT; borrowed until perform() returns
};

struct StoreResponse {
  CURLcode transport = CURLE_OK;  // anything else: there was no whole answer
  std::string transport_text;
  /// What a proxy answered to CONNECT; 0: it was not asked.
  int proxy_status = 0;
  int status = 0;
  std::string body;    // decoded; at most its first 64 KiB; empty where it is encoded for transport
                       // or content in another way than we asked for
  std::string etag;    // as it stands, quotes included; empty if there is none
  std::string sha256;  // x-amz-checksum-sha256; empty if there is none
  std::string server;  // the start of it
  std::string content_type;  // likewise
  /// What no S3 store does: a sentence of a bounded set. Empty: the form is as it should be.
  std::string_view fault;
  bool is_minio = false;  // by its Server header
  /// Which connection it came over: how many had been made until then.
  std::size_t connection = 0;
  /// The store's clock; nothing where that cannot be the time (is_plausible_now()).
  std::optional<std::chrono::sys_seconds> date;
  /// Retry-After, in seconds or as a date by our clock; at most kMaxRetryAfter. 0: there is none.
  std::chrono::seconds retry_after{0};
};

/// One kept-alive HTTP/1.1 connection through a libcurl easy handle. Belongs to one thread.
///
/// A whole answer (status lines, interim answers, headers, chunk extensions, body, trailers) is
/// bounded in bytes and in time. libcurl does not decode bodies here: its decoder of chunks drops
/// extensions and keeps trailers without a bound.
class HttpConnection final {
 public:
  /// The context outlives the connection.
  explicit HttpConnection(StoreContext& context);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// Of the connection in use: how many have been made.
  [[nodiscard]] std::size_t number() const noexcept { return connections_; }

  /// Blocks until there is an answer, the connection fails or `abort` is requested (noticed within
  /// about a second). A kept-alive connection that turns out dead is replaced once by libcurl.
  [[nodiscard]] StoreResponse perform(const StoreRequest& request, const std::stop_token& abort);

 private:
  static std::size_t read_body(char* buffer, std::size_t size, std::size_t count,
                               void* self) noexcept;
  static int seek_body(void* self, curl_off_t offset, int origin) noexcept;
  static std::size_t write_response(char* data, std::size_t size, std::size_t count,
                                    void* self) noexcept;
  static std::size_t count_header(char* data, std::size_t size, std::size_t count,
                                  void* self) noexcept;
  static int on_progress(void* self, curl_off_t download_total, curl_off_t downloaded,
                         curl_off_t upload_total, curl_off_t uploaded) noexcept;

  void set_fixed_options(StoreContext& context);
  [[nodiscard]] bool goes_with_head(const BodyPieces& body) const noexcept;
  void put_with_head(std::string_view body);
  void put_behind_head();
  [[nodiscard]] bool answer_is_overdue(std::size_t uploaded) noexcept;
  [[nodiscard]] StoreResponse collect(CURLcode code);
  void collect_headers(StoreResponse& response) const;
  void decode_body(StoreResponse& response) const;

  using Clock = std::chrono::steady_clock;

  /// From the last byte of the request, or the first of the final answer if that comes before, to
  /// the last byte of the answer. Without a body it includes connecting.
  const Clock::duration answer_timeout_;

  BandwidthLimit& bandwidth_;

  // What the callbacks work on, for the request under way.
  BodyReader body_;
  std::string response_body_;      // as it comes over the line
  std::size_t header_bytes_ = 0;   // of the answer, interim answers included
  bool answer_has_begun_ = false;  // the final one
  bool head_is_complete_ = false;  // of it
  bool response_overflow_ = false;
  std::optional<Clock::time_point> answer_since_;  // when the time for the answer began
  bool overdue_ = false;
  std::size_t connections_ = 0;  // made so far
  std::stop_token abort_;

  std::array<char, CURL_ERROR_SIZE> error_text_{};
  curl::Slist connect_to_;
  curl::EasyHandle easy_;  // last: its callbacks use the members above
};

}  // namespace m2b
