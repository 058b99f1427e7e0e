#include "upload/s3_connection.hpp"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "m2b/tls/connect_probe.hpp"
#include "m2b/util/log.hpp"
#include "upload/classify.hpp"
#include "upload/connection_options.hpp"
#include "upload/curl.hpp"
#include "upload/user_agent.hpp"

namespace m2b {
namespace {

std::string_view name_of(HttpMethod method) {
  switch (method) {
    case HttpMethod::get:
      return "GET";
    case HttpMethod::put:
      return "PUT";
  }
  return {};
}

/// Refusals that other credentials may mend.
bool is_about_credentials(std::string_view code) {
  for (const std::string_view each : {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId",
                                      "InvalidToken", "InvalidTokenId", "SignatureDoesNotMatch"}) {
    if (code == each) return true;
  }
  return false;
}

/// Whether TLS may be the cause. With TLS 1.3 the other side refuses our certificate, or misses
/// one, only after the handshake: then the connection breaks in this way or that.
bool may_be_about_tls(CURLcode failure) {
  switch (failure) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return true;
    default:
      return false;
  }
}

std::chrono::sys_seconds local_time() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

S3Connection::S3Connection(StoreContext& context)
    : context_(context),
      host_(store_authority(context.options)),
      origin_(fmt::format("{}://{}", context.options.secure ? "https" : "http", host_)),
      bucket_path_(encode_path("/" + context.options.bucket)),
      http_(context),
      heads_(origin_, context) {}

std::string S3Connection::object_path(std::string_view key) const {
  return bucket_path_ + "/" + encode_path(key);
}

S3Answer S3Connection::send(const S3Request& request, const std::stop_token& abort) {
  S3Answer answer = send_once(request, abort);
  if (answer.result.code == "RequestTimeTooSkewed" && answer.response.date) {
    correct_clock(*answer.response.date);
    answer = send_once(request, abort);
  }
  if (is_about_credentials(answer.result.code) && context_.credentials.refused(*credentials_)) {
    answer = send_once(request, abort);
  }
  return answer;
}

HeadRound S3Connection::heads(std::span<const std::string> paths, const std::stop_token& abort) {
  const std::string empty_sha256 = sha256_hex(std::string_view());
  refresh_signer();
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
    if (context_.options.secure && may_be_about_tls(response.transport))
      explain(answer.result, abort);
    return answer;
  }
  context_.batches.saw_server(response.is_minio);
  if (response.date) {
    context_.clock_offset.saw(*response.date - local_time());
  }
  answer.result = result_of_answer(response.status, response.body);
  return answer;
}

void S3Connection::explain(PutResult& failure, const std::stop_token& abort) const {
  const StoreOptions& options = context_.options;
  auto fault = find_connect_fault({options.host, options.port, &options.tls, "MINIO_URL"},
                                  options.connect_timeout, abort);
  if (!fault) return;
  failure.detail = std::move(fault->text);
  if (fault->needs_a_person) failure.outcome = PutOutcome::hold;
}

HttpRequest S3Connection::sign(const S3Request& request) {
  refresh_signer();
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
  if (!credentials_->session_token.empty()) {
    signing.headers.emplace_back("x-amz-security-token", credentials_->session_token.reveal());
  }
  std::vector<HttpHeader> signature = signer_->sign(signing, store_time());
  std::vector<HttpHeader> headers = std::move(signing.headers);
  for (HttpHeader& header : signature) headers.push_back(std::move(header));
  return headers;
}

void S3Connection::refresh_signer() {
  std::shared_ptr<const Credentials> current = context_.credentials.current();
  if (current == credentials_) return;
  signer_.emplace(SigningCredentials{current->access_key, current->secret_key.reveal(),
                                     context_.options.region});
  credentials_ = std::move(current);  // last: the old signer borrowed from the old ones
}

std::chrono::sys_seconds S3Connection::store_time() const {
  return local_time() + context_.clock_offset.get();
}

void S3Connection::correct_clock(std::chrono::sys_seconds store_date) {
  const std::chrono::seconds offset = store_date - local_time();
  if (context_.clock_offset.set(offset)) {
    log::warn("upload", "the store refused our clock; signing with its time from now on",
              {{"offset_seconds", offset.count()}});
  }
}

}  // namespace m2b
