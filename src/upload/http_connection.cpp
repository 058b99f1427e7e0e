#include "upload/http_connection.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include <fmt/format.h>

#include "m2b/upload/clock_offset.hpp"
#include "m2b/upload/put_outcome.hpp"
#include "m2b/util/ascii.hpp"
#include "upload/chunked_body.hpp"
#include "upload/connection_options.hpp"
#include "upload/user_agent.hpp"

namespace m2b {
namespace {

/// Of head and body each. What an S3 store answers here has some kilobytes.
constexpr std::size_t kMaxHeaderBytes = std::size_t{32} << 10U;
constexpr std::size_t kMaxBodyBytes = std::size_t{64} << 10U;
/// What is kept of a header that is only told to people.
constexpr std::size_t kMaxToldBytes = 64;
constexpr long kUploadBufferBytes = 256L << 10U;  // a picture in one to a few writes
/// A body up to this goes out in one write with its head, which wakes the store once and not twice.
/// libcurl copies it for that, and would do so up to 64 KiB.
constexpr std::size_t kMaxBytesWithHead = std::size_t{32} << 10U;
/// How MinIO begins its Server header, in all its versions ("MinIO", "MinIO/RELEASE…").
constexpr std::string_view kMinio = "MinIO";

using curl::response_header;

std::string text_of(const curl_header* header) { return header == nullptr ? "" : header->value; }

std::string start_of(const curl_header* header) { return text_of(header).substr(0, kMaxToldBytes); }

/// Whether a header comes twice with different values.
bool is_contradictory(const curl::EasyHandle& handle, const char* name) {
  const curl_header* const first = response_header(handle, name);
  if (first == nullptr) return false;
  const std::string value = first->value;  // libcurl has one curl_header for all answers of it
  for (std::size_t index = 1; index < first->amount; ++index) {
    const curl_header* const other = response_header(handle, name, index);
    if (other == nullptr || value != other->value) return true;
  }
  return false;
}

/// What libcurl says of a single header that is longer than it takes (100 KiB): the first up
/// to 8.5, the second from then on.
bool is_too_long(CURLcode code) {
  constexpr int kTooLarge = 100;  // CURLE_TOO_LARGE, which older headers do not have
  return code == CURLE_OUT_OF_MEMORY || static_cast<int>(code) == kTooLarge;
}

/// What the server asks for by Retry-After, which may be any number.
std::chrono::seconds retry_after_of(const curl::EasyHandle& handle) {
  curl_off_t seconds = 0;
  curl::check(curl_easy_getinfo(handle.get(), CURLINFO_RETRY_AFTER, &seconds), "curl_easy_getinfo");
  return std::chrono::seconds(
      std::clamp<curl_off_t>(seconds, 0, curl_off_t{kMaxRetryAfter.count()}));
}

/// Whether a status line is that of a 1xx answer, behind which another comes.
bool is_interim(std::string_view status_line) {
  const std::size_t blank = status_line.find(' ');
  return blank != std::string_view::npos && status_line.substr(blank + 1).starts_with('1');
}

/// What a client says and no S3 store does. Echo services and some test servers send it back.
constexpr std::array<const char*, 4> kOfClients{"Authorization", "x-amz-content-sha256",
                                                "x-amz-date", "User-Agent"};

bool has_our_headers(const curl::EasyHandle& handle) {
  return std::any_of(kOfClients.begin(), kOfClients.end(),
                     [&](const char* name) { return response_header(handle, name) != nullptr; });
}

/// Whether a cache had the answer before we asked. Some name an age of 0 in what they pass on.
bool is_from_cache(const curl_header* age) {
  return age != nullptr &&
         std::string_view(age->value).find_first_not_of('0') != std::string_view::npos;
}

/// Whether an encoding that we did not ask for was applied.
bool is_encoded(const curl_header* encoding, std::string_view wanted) {
  return encoding != nullptr && !is_ascii_word(encoding->value, wanted);
}

}  // namespace

HttpConnection::HttpConnection(StoreContext& context)
    : answer_timeout_(context.options.connect_timeout + context.options.stall_timeout),
      bandwidth_(context.bandwidth),
      easy_(curl::make_easy()) {
  response_body_.reserve(kMaxBodyBytes);  // so that write_response() never allocates
  set_fixed_options(context);
}

void HttpConnection::set_fixed_options(StoreContext& context) {
  const StoreOptions& options = context.options;
  connect_to_ = set_connection_options(easy_, context);
  curl::set(easy_, CURLOPT_USERAGENT, kUserAgent);
  curl::set(easy_, CURLOPT_FOLLOWLOCATION, 0L);  // the signature is for this host and path
  curl::set(easy_, CURLOPT_PATH_AS_IS, 1L);
  curl::set(easy_, CURLOPT_UPLOAD_BUFFERSIZE, kUploadBufferBytes);
  curl::set(easy_, CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
  curl::set(easy_, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));

  curl::set(easy_, CURLOPT_ERRORBUFFER, error_text_.data());
  curl::set(easy_, CURLOPT_READFUNCTION, &HttpConnection::read_body);
  curl::set(easy_, CURLOPT_READDATA, this);
  // Lets libcurl send the body again when a kept-alive connection turns out to be dead.
  curl::set(easy_, CURLOPT_SEEKFUNCTION, &HttpConnection::seek_body);
  curl::set(easy_, CURLOPT_SEEKDATA, this);
  curl::set(easy_, CURLOPT_WRITEFUNCTION, &HttpConnection::write_response);
  curl::set(easy_, CURLOPT_WRITEDATA, this);
  curl::set(easy_, CURLOPT_HEADERFUNCTION, &HttpConnection::count_header);
  curl::set(easy_, CURLOPT_HEADERDATA, this);
  // Chunks come as they are, extensions and trailers with them, so that write_response() can count.
  curl::set(easy_, CURLOPT_HTTP_TRANSFER_DECODING, 0L);
  curl::set(easy_, CURLOPT_NOPROGRESS, 0L);
  curl::set(easy_, CURLOPT_XFERINFOFUNCTION, &HttpConnection::on_progress);
  curl::set(easy_, CURLOPT_XFERINFODATA, this);
}

StoreResponse HttpConnection::perform(const StoreRequest& request, const std::stop_token& abort) {
  body_ = BodyReader(request.body);
  response_body_.clear();
  header_bytes_ = 0;
  answer_has_begun_ = false;
  head_is_complete_ = false;
  response_overflow_ = false;
  answer_since_.reset();
  overdue_ = false;
  abort_ = abort;
  error_text_.front() = '\0';

  curl::Slist headers;
  // libcurl would wait for "100 Continue" before bodies above 1 MiB.
  curl::append(headers, "Expect:");
  // And make up a type where a request names none.
  curl::append(headers, "Content-Type:");
  // Not signed: proxies and Google's front end change it.
  curl::append(headers, "Accept-Encoding: identity");
  for (const auto& [name, value] : request.headers) {
    curl::append(headers, fmt::format("{}: {}", name, value).c_str());
  }
  curl::set(easy_, CURLOPT_HTTPHEADER, headers.get());
  curl::set(easy_, CURLOPT_URL, request.url.c_str());
  switch (request.method) {
    case HttpMethod::get:
      curl::set(easy_, CURLOPT_HTTPGET, 1L);
      break;
    case HttpMethod::del:
      curl::set(easy_, CURLOPT_HTTPGET, 1L);
      curl::set(easy_, CURLOPT_CUSTOMREQUEST, "DELETE");
      break;
    case HttpMethod::put:
      if (goes_with_head(request.body)) {
        put_with_head(request.body.front());
      } else {
        put_behind_head();
      }
      break;
  }
  const CURLcode code = curl_easy_perform(easy_.get());
  StoreResponse response = collect(code);
  // What is borrowed goes.
  curl::set(easy_, CURLOPT_HTTPHEADER, nullptr);
  curl::set(easy_, CURLOPT_POSTFIELDS, nullptr);
  curl::set(easy_, CURLOPT_CUSTOMREQUEST, nullptr);
  return response;
}

/// Where bandwidth is limited a body goes out as read_body() lets it.
bool HttpConnection::goes_with_head(const BodyPieces& body) const noexcept {
  return body.size() == 1 && !body.front().empty() && body.front().size() <= kMaxBytesWithHead &&
         !bandwidth_.is_limited();
}

/// To libcurl a POST of another name: only with that does it send head and body together.
void HttpConnection::put_with_head(std::string_view body) {
  curl::set(easy_, CURLOPT_UPLOAD, 0L);
  curl::set(easy_, CURLOPT_POST, 1L);
  curl::set(easy_, CURLOPT_CUSTOMREQUEST, "PUT");
  curl::set(easy_, CURLOPT_POSTFIELDS, body.data());
  curl::set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
}

void HttpConnection::put_behind_head() {
  curl::set(easy_, CURLOPT_UPLOAD, 1L);
  curl::set(easy_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(body_.size()));
}

StoreResponse HttpConnection::collect(CURLcode code) {
  StoreResponse response;
  long connects = 0;
  curl::check(curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &connects),
              "curl_easy_getinfo");
  connections_ += static_cast<std::size_t>(connects);
  response.connection = connections_;
  long proxy_status = 0;
  curl::check(curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &proxy_status),
              "curl_easy_getinfo");
  response.proxy_status = static_cast<int>(proxy_status);
  if (overdue_ && code == CURLE_ABORTED_BY_CALLBACK) {
    response.transport = CURLE_OPERATION_TIMEDOUT;
    response.transport_text = "the answer was not complete in time";
    return response;
  }
  // An answer longer than we care to read is an answer all the same, once its head is there.
  const bool has_head = answer_has_begun_ && head_is_complete_;
  const bool is_cut_by_us = response_overflow_ && code == CURLE_WRITE_ERROR;
  response.transport = is_cut_by_us ? CURLE_OK : code;
  if (!has_head && (is_cut_by_us || is_too_long(code))) {
    response.transport = CURLE_WEIRD_SERVER_REPLY;
    response.transport_text =
        fmt::format("the head of the answer is longer than {} bytes", kMaxHeaderBytes);
    return response;
  }
  if (response.transport == CURLE_OK && !has_head) {
    // To libcurl a head that breaks off is a head.
    response.transport = CURLE_PARTIAL_FILE;
    response.transport_text = "the connection was closed in the head of the answer";
    return response;
  }
  if (response.transport != CURLE_OK) {
    response.transport_text = error_text_.data();
    return response;
  }
  long status = 0;
  curl::check(curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status), "curl_easy_getinfo");
  response.status = static_cast<int>(status);
  response.retry_after = retry_after_of(easy_);
  collect_headers(response);
  decode_body(response);
  return response;
}

void HttpConnection::collect_headers(StoreResponse& response) const {
  constexpr const char* kSha256 = "x-amz-checksum-sha256";
  response.etag = text_of(response_header(easy_, "ETag"));
  response.sha256 = text_of(response_header(easy_, kSha256));
  response.server = start_of(response_header(easy_, "Server"));
  response.content_type = start_of(response_header(easy_, "Content-Type"));
  response.is_minio = response.server.starts_with(kMinio);
  if (const curl_header* const date = response_header(easy_, "Date")) {
    const std::chrono::sys_seconds time(std::chrono::seconds(curl_getdate(date->value, nullptr)));
    if (is_plausible_now(time)) response.date = time;
  }
  for (const char* const name : {"Content-Length", "ETag", kSha256}) {
    if (is_contradictory(easy_, name)) response.fault = "the answer has a header twice";
  }
  if (has_our_headers(easy_)) response.fault = "the answer has the headers of our request";
  if (is_from_cache(response_header(easy_, "Age"))) response.fault = "a cache has answered";
}

void HttpConnection::decode_body(StoreResponse& response) const {
  // The next look at a header writes over what this one gave.
  if (is_encoded(response_header(easy_, "Content-Encoding"), "identity")) {
    response.fault = "the answer is compressed, which we did not ask for";
    return;
  }
  const curl_header* const coding = response_header(easy_, "Transfer-Encoding");
  const bool is_chunked = coding != nullptr;
  if (is_encoded(coding, "chunked") || (is_chunked && coding->amount > 1)) {
    response.fault = "the answer has a transfer encoding other than chunked";
    return;
  }
  if (is_chunked && response_header(easy_, "Content-Length") != nullptr) {
    response.fault = "the answer has a length and is chunked";
    return;
  }
  if (response_overflow_) {
    response.fault = "the answer is longer than any of an S3 store";
  }
  if (!is_chunked || response_overflow_) {
    response.body = response_body_;
    return;
  }
  if (auto body = decode_chunked(response_body_)) {
    response.body = std::move(*body);
  } else {
    response.fault = "the chunks of the answer are malformed";
  }
}

std::size_t HttpConnection::read_body(char* buffer, std::size_t size, std::size_t count,
                                      void* self) noexcept {
  auto& connection = *static_cast<HttpConnection*>(self);
  std::size_t length = std::min(size * count, connection.body_.left());
  if (length != 0) {
    // Waits here: a paused transfer would be looked at again only once a second. Turns come often
    // enough for libcurl's watch on the speed not to take our holding back for a stall.
    length = connection.bandwidth_.take(length, connection.abort_);
    if (length == 0) return CURL_READFUNC_ABORT;
  }
  return connection.body_.read(buffer, length);
}

int HttpConnection::seek_body(void* self, curl_off_t offset, int origin) noexcept {
  auto& connection = *static_cast<HttpConnection*>(self);
  const bool possible = origin == SEEK_SET && offset >= 0 &&
                        connection.body_.seek(static_cast<std::uint64_t>(offset));
  if (!possible) return CURL_SEEKFUNC_FAIL;
  return CURL_SEEKFUNC_OK;
}

std::size_t HttpConnection::write_response(char* data, std::size_t size, std::size_t count,
                                           void* self) noexcept {
  auto& connection = *static_cast<HttpConnection*>(self);
  const std::size_t length = size * count;
  const std::size_t room = kMaxBodyBytes - connection.response_body_.size();
  connection.response_body_.append(data, std::min(length, room));
  if (length <= room) return length;
  connection.response_overflow_ = true;
  return 0;  // ends the transfer: nothing an S3 store says is that long
}

std::size_t HttpConnection::count_header(char* data, std::size_t size, std::size_t count,
                                         void* self) noexcept {
  auto& connection = *static_cast<HttpConnection*>(self);
  const std::size_t length = size * count;
  const std::string_view line(data, length);
  connection.header_bytes_ += length;
  if (connection.header_bytes_ > kMaxHeaderBytes) {
    connection.response_overflow_ = true;
    return 0;
  }
  // Also a status line: the head before it was that of an interim answer, or of a proxy.
  if (line.starts_with("HTTP/")) {
    connection.answer_has_begun_ = !is_interim(line);
    connection.head_is_complete_ = false;
  }
  if (line == "\r\n" || line == "\n") connection.head_is_complete_ = true;
  return length;
}

int HttpConnection::on_progress(void* self, curl_off_t, curl_off_t, curl_off_t,
                                curl_off_t uploaded) noexcept {
  auto& connection = *static_cast<HttpConnection*>(self);
  if (connection.abort_.stop_requested()) return 1;
  connection.overdue_ = connection.answer_is_overdue(static_cast<std::size_t>(uploaded));
  return connection.overdue_ ? 1 : 0;
}

/// An answer that comes byte by byte and for ever is no stall to libcurl, but holds an uploader.
bool HttpConnection::answer_is_overdue(std::size_t uploaded) noexcept {
  if (uploaded < body_.size() && !answer_has_begun_) {
    answer_since_.reset();  // libcurl may have begun again, on another connection
    return false;
  }
  const Clock::time_point now = Clock::now();
  if (!answer_since_) answer_since_ = now;
  return now - *answer_since_ > answer_timeout_;
}

}  // namespace m2b
