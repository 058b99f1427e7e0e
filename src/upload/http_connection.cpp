#include "upload/http_connection.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include <fmt/format.h>

#include "upload/connection_options.hpp"
#include "upload/user_agent.hpp"

namespace m2b {
namespace {

constexpr std::size_t kMaxResponseBytes = std::size_t{64} << 10U;
constexpr long kUploadBufferBytes = 256L << 10U;  // a picture in one to a few writes
/// A body up to this goes out in one write with its head, which wakes the store once and not twice.
/// libcurl copies it for that, and would do so up to 64 KiB.
constexpr std::size_t kMaxBytesWithHead = std::size_t{32} << 10U;
/// How MinIO begins its Server header, in all its versions ("MinIO", "MinIO/RELEASE…").
constexpr std::string_view kMinio = "MinIO";

}  // namespace

HttpConnection::HttpConnection(StoreContext& context)
    : answer_timeout_(context.options.connect_timeout + context.options.stall_timeout),
      bandwidth_(context.bandwidth),
      easy_(curl::make_easy()) {
  response_body_.reserve(kMaxResponseBytes);  // so that write_response() never allocates
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
  curl::set(easy_, CURLOPT_NOPROGRESS, 0L);
  curl::set(easy_, CURLOPT_XFERINFOFUNCTION, &HttpConnection::on_progress);
  curl::set(easy_, CURLOPT_XFERINFODATA, this);
}

HttpResponse HttpConnection::perform(const HttpRequest& request, const std::stop_token& abort) {
  body_ = BodyReader(request.body);
  response_body_.clear();
  response_overflow_ = false;
  sent_at_.reset();
  overdue_ = false;
  abort_ = abort;
  error_text_.front() = '\0';

  curl::Slist headers;
  // libcurl would wait for "100 Continue" before bodies above 1 MiB.
  curl::append(headers, "Expect:");
  // And make up a type where a request names none.
  curl::append(headers, "Content-Type:");
  for (const auto& [name, value] : request.headers) {
    curl::append(headers, fmt::format("{}: {}", name, value).c_str());
  }
  curl::set(easy_, CURLOPT_HTTPHEADER, headers.get());
  curl::set(easy_, CURLOPT_URL, request.url.c_str());
  switch (request.method) {
    case HttpMethod::get:
      curl::set(easy_, CURLOPT_HTTPGET, 1L);
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
  HttpResponse response = collect(code);
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

HttpResponse HttpConnection::collect(CURLcode code) const {
  HttpResponse response;
  if (overdue_ && code == CURLE_ABORTED_BY_CALLBACK) {
    response.transport = CURLE_OPERATION_TIMEDOUT;
    response.transport_text = "the answer was not complete in time";
    return response;
  }
  // An answer longer than we care to read is an answer all the same.
  response.transport = response_overflow_ && code == CURLE_WRITE_ERROR ? CURLE_OK : code;
  if (response.transport != CURLE_OK) {
    response.transport_text = error_text_.data();
    return response;
  }
  long status = 0;
  curl::check(curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status), "curl_easy_getinfo");
  response.status = static_cast<int>(status);
  response.body = response_body_;
  const char* const etag = curl::response_header(easy_, "ETag");
  response.has_etag = etag != nullptr && *etag != '\0';
  const char* const server = curl::response_header(easy_, "Server");
  response.is_minio = server != nullptr && std::string_view(server).starts_with(kMinio);
  if (const char* const date = curl::response_header(easy_, "Date")) {
    if (const std::time_t time = curl_getdate(date, nullptr); time != -1) {
      response.date = std::chrono::sys_seconds(std::chrono::seconds(time));
    }
  }
  return response;
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
  const std::size_t room = kMaxResponseBytes - connection.response_body_.size();
  connection.response_body_.append(data, std::min(length, room));
  if (length <= room) return length;
  connection.response_overflow_ = true;
  return 0;  // ends the transfer: nothing an S3 store says is that long
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
  if (uploaded < body_.size()) {
    sent_at_.reset();  // libcurl may have begun again, on another connection
    return false;
  }
  const Clock::time_point now = Clock::now();
  if (!sent_at_) sent_at_ = now;
  return now - *sent_at_ > answer_timeout_;
}

}  // namespace m2b
