#include "bench/http_client.hpp"

#include <stdexcept>

#include <fmt/format.h>

namespace m2b::bench {
namespace {

constexpr long kTimeoutSeconds = 60;
constexpr long kUploadBufferBytes = 512 << 10;

std::size_t append_body(char* data, std::size_t size, std::size_t count, void* body) noexcept {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

}  // namespace

HttpClient::HttpClient(const Address& server)
    : origin_("http://" + server.text()), easy_(curl::make_easy()) {
  curl::set(easy_, CURLOPT_NOSIGNAL, 1L);
  curl::set(easy_, CURLOPT_PROXY, "");
  curl::set(easy_, CURLOPT_TIMEOUT, kTimeoutSeconds);
  curl::set(easy_, CURLOPT_UPLOAD_BUFFERSIZE, kUploadBufferBytes);
  curl::set(easy_, CURLOPT_WRITEFUNCTION, &append_body);
  curl::set(easy_, CURLOPT_WRITEDATA, &body_);
  curl::append(put_headers_, "Expect:");
  curl::append(put_headers_, "Content-Type:");
}

std::optional<HttpAnswer> HttpClient::get(std::string_view path,
                                          const std::vector<HttpHeader>& headers) {
  body_.clear();
  curl::Slist lines;
  for (const auto& [name, value] : headers) {
    curl::append(lines, fmt::format("{}: {}", name, value).c_str());
  }
  curl::set(easy_, CURLOPT_HTTPHEADER, lines.get());
  curl::set(easy_, CURLOPT_HTTPGET, 1L);
  curl::set(easy_, CURLOPT_URL, fmt::format("{}{}", origin_, path).c_str());
  const CURLcode code = curl_easy_perform(easy_.get());
  curl::set(easy_, CURLOPT_HTTPHEADER, nullptr);
  if (code != CURLE_OK) return std::nullopt;
  HttpAnswer answer;
  curl::check(curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &answer.status),
              "curl_easy_getinfo");
  answer.body = body_;
  return answer;
}

void HttpClient::put(std::string_view path, std::string_view body) {
  body_.clear();
  const std::string url = fmt::format("{}{}", origin_, path);
  curl::set(easy_, CURLOPT_URL, url.c_str());
  // Not by a read callback: libcurl takes the bytes from where they are.
  curl::set(easy_, CURLOPT_CUSTOMREQUEST, "PUT");
  curl::set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl::set(easy_, CURLOPT_POSTFIELDS, body.data());
  curl::set(easy_, CURLOPT_HTTPHEADER, put_headers_.get());
  const CURLcode code = curl_easy_perform(easy_.get());
  if (code != CURLE_OK) {
    throw std::runtime_error(fmt::format("PUT {}: {}", url, curl_easy_strerror(code)));
  }
  long status = 0;
  curl::check(curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status), "curl_easy_getinfo");
  if (status != 200) throw std::runtime_error(fmt::format("PUT {}: the answer is {}", url, status));
}

}  // namespace m2b::bench
