#include "upload/s3_connection.hpp"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/log.hpp"
#include "upload/classify.hpp"
#include "upload/curl.hpp"
#include "upload/user_agent.hpp"

namespace m2b {
namespace {

constexpr std::string_view kLog = "upload";

/// As browsers and proxies write it: the default port of the scheme is left out.
std::string host_header(const StoreOptions& options) {
  const std::uint16_t default_port = options.secure ? 443 : 80;
  if (options.port == default_port) return options.host;
  return fmt::format("{}:{}", options.host, options.port);
}

std::string_view name_of(HttpMethod method) {
  switch (method) {
    case HttpMethod::get:
      return "GET";
    case HttpMethod::put:
      return "PUT";
  }
  return {};
}

std::chrono::sys_seconds local_time() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

S3Connection::S3Connection(StoreContext& context)
    : context_(context),
      host_(host_header(context.options)),
      origin_(fmt::format("{}://{}", context.options.secure ? "https" : "http", host_)),
      bucket_path_(encode_path("/" + context.options.bucket)),
      signer_({context.options.access_key, context.options.secret_key.reveal(),
               context.options.region}),
      http_(context),
      heads_(origin_, context.options) {}

std::string S3Connection::object_path(std::string_view key) const {
  return bucket_path_ + "/" + encode_path(key);
}

S3Answer S3Connection::send(const S3Request& request, const std::stop_token& abort) {
  S3Answer answer = send_once(request, abort);
  if (answer.result.code == "RequestTimeTooSkewed" && answer.response.date) {
    correct_clock(*answer.response.date);
    answer = send_once(request, abort);
  }
  return answer;
}

HeadRound S3Connection::heads(std::span<const std::string> paths, const std::stop_token& abort) {
  const std::string empty_sha256 = sha256_hex(std::string_view());
  std::vector<std::string> requests;
  requests.reserve(paths.size());
  for (const std::string& path : paths) requests.push_back(sign_head(path, empty_sha256));
  return heads_.ask(requests, abort);
}

S3Answer S3Connection::send_once(const S3Request& request, const std::stop_token& abort) {
  S3Answer answer;
  if (abort.stop_requested()) {
    answer.result = result_of_failure(CURLE_ABORTED_BY_CALLBACK, {});
    return answer;
  }
  answer.response = http_.perform(sign(request), abort);
  const HttpResponse& response = answer.response;
  if (response.transport != CURLE_OK) {
    answer.result = result_of_failure(response.transport, response.transport_text);
    return answer;
  }
  context_.batches.saw_server(response.is_minio);
  answer.result = result_of_answer(response.status, response.body);
  return answer;
}

HttpRequest S3Connection::sign(const S3Request& request) {
  HttpRequest ready;
  ready.method = request.method;
  ready.url = origin_ + request.path;
  if (!request.query.empty()) ready.url.append("?").append(request.query);
  ready.headers = signed_headers(name_of(request.method), request, sha256_hex(request.body));
  ready.body = request.body;
  return ready;
}

std::string S3Connection::sign_head(std::string_view path, std::string_view empty_sha256) {
  S3Request request;
  request.path = path;
  std::string text = fmt::format("HEAD {} HTTP/1.1\r\nUser-Agent: {}\r\n", path, kUserAgent);
  for (const auto& [name, value] : signed_headers("HEAD", request, empty_sha256)) {
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text.append("\r\n");
}

std::vector<HttpHeader> S3Connection::signed_headers(std::string_view method,
                                                     const S3Request& request,
                                                     std::string_view payload_sha256) {
  SigningRequest signing{method, request.path, request.query, request.headers, payload_sha256};
  // Written out, not left to libcurl: what is signed is what is sent.
  signing.headers.emplace_back("Host", host_);
  std::vector<HttpHeader> signature = signer_.sign(signing, store_time());
  std::vector<HttpHeader> headers = std::move(signing.headers);
  for (HttpHeader& header : signature) headers.push_back(std::move(header));
  return headers;
}

std::chrono::sys_seconds S3Connection::store_time() const {
  return local_time() + context_.clock_offset.get();
}

void S3Connection::correct_clock(std::chrono::sys_seconds store_date) {
  const std::chrono::seconds offset = store_date - local_time();
  context_.clock_offset.set(offset);
  log::warn(kLog, "the store refused our clock; signing with its time from now on",
            {{"offset_seconds", offset.count()}});
}

}  // namespace m2b
