#include "upload/s3_connection.hpp"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "m2b/tls/connect_probe.hpp"
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
    case HttpMethod::del:
      return "DELETE";
  }
  return {};
}

/// Refusals that other credentials may mend.
bool is_about_credentials(const PutResult& result) {
  return result.outcome == PutOutcome::refused &&
         (result.scope == Scope::credentials || result.code == "AccessDenied");
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

/// For x-amz-content-sha256.
std::string payload_hash(const S3Request& request) {
  if (!request.signs_body) return "UNSIGNED-PAYLOAD";
  return hex(request.body_sha256.empty() ? sha256(request.body) : request.body_sha256);
}

/// A proxy that answered CONNECT with anything but a success (RFC 9110, section 9.3.6).
PutResult result_of_proxy(int status, std::string_view text) {
  constexpr int kLoginRequired = 407;
  PutResult result =
      refusal(Scope::path, status, status == kLoginRequired ? "http_407" : "proxy_refused", text);
  result.needs_person = status < 500;
  result.is_unsent = true;
  return result;
}

std::chrono::sys_seconds local_time() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

/// Our clock may have been set since the offset was found.
std::chrono::sys_seconds signing_time(std::chrono::seconds clock_offset) {
  const std::chrono::sys_seconds local = local_time();
  return is_plausible_now(local + clock_offset) ? local + clock_offset : local;
}

/// Refusals that another time in the signature may mend. A signature is for a day, so that a wrong
/// one can look like a wrong secret, scope or right; a proxy may keep the reason to itself.
bool may_be_about_time(const PutResult& result) {
  constexpr int kBadRequest = 400;
  constexpr int kUnauthorized = 401;
  constexpr int kForbidden = 403;
  if (result.outcome != PutOutcome::refused || result.scope == Scope::object) return false;
  return result.http_status == kBadRequest || result.http_status == kUnauthorized ||
         result.http_status == kForbidden;
}

/// Whether the answer is one that a store gives after it has found the signature to be right.
bool has_taken_signature(const PutResult& result) {
  if (result.outcome != PutOutcome::refused) return result.outcome == PutOutcome::stored;
  return result.scope == Scope::object || result.code == "NoSuchBucket";
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
  S3Answer answer = send_once(request, context_.clock_offset.get(), abort);
  if (may_be_about_time(answer.result)) correct_clock(answer, request, abort);
  if (is_about_credentials(answer.result) && context_.credentials.refused(*credentials_)) {
    answer = send_once(request, context_.clock_offset.get(), abort);
  }
  return answer;
}

/// Whoever answers can name any time, and can let us adopt it. So each refusal that may come from
/// that leads back: to the time that this answer names, and to our own.
void S3Connection::correct_clock(S3Answer& answer, const S3Request& request,
                                 const std::stop_token& abort) {
  const std::chrono::seconds in_use = context_.clock_offset.get();
  std::vector<std::chrono::seconds> offsets;
  if (answer.response.date) offsets.push_back(*answer.response.date - local_time());
  offsets.emplace_back(0);
  for (const std::chrono::seconds offset : offsets) {
    if (std::chrono::abs(offset - in_use) <= ClockOffset::kSame) continue;
    S3Answer again = send_once(request, offset, abort);
    if (may_be_about_time(again.result)) continue;
    if (has_taken_signature(again.result)) context_.clock_offset.adopt(offset);
    answer = std::move(again);
    return;
  }
}

HeadRound S3Connection::heads(std::span<const std::string> paths, const std::stop_token& abort) {
  const std::string empty_sha256 = sha256_hex(std::string_view());
  refresh_signer();
  std::vector<std::string> requests;
  requests.reserve(paths.size());
  for (const std::string& path : paths) requests.push_back(sign_head(path, empty_sha256));
  return heads_.ask(requests, abort);
}

S3Answer S3Connection::send_once(const S3Request& request, std::chrono::seconds clock_offset,
                                 const std::stop_token& abort) {
  S3Answer answer;
  if (abort.stop_requested()) {
    answer.result = result_of_failure(CURLE_ABORTED_BY_CALLBACK, {});
    return answer;
  }
  answer.response = http_.perform(sign(request, clock_offset), abort);
  const StoreResponse& response = answer.response;
  if (response.transport != CURLE_OK && response.proxy_status >= 300) {
    answer.result = result_of_proxy(response.proxy_status, response.transport_text);
    return answer;
  }
  if (response.transport != CURLE_OK) {
    answer.result = result_of_failure(response.transport, response.transport_text);
    if (context_.options.secure && may_be_about_tls(response.transport))
      explain(answer.result, abort);
    return answer;
  }
  context_.batches.saw_server(response.is_minio);
  context_.proof.saw_server(response.server);
  if (response.date) context_.clock_offset.saw(*response.date - local_time());
  answer.result = result_of_answer(response.status, response.body);
  if (answer.result.outcome == PutOutcome::refused) {
    answer.result.retry_after = response.retry_after;
  }
  return answer;
}

void S3Connection::explain(PutResult& failure, const std::stop_token& abort) const {
  const StoreOptions& options = context_.options;
  auto fault = find_connect_fault({options.host, options.port, &options.tls, "MINIO_URL"},
                                  options.connect_timeout, abort);
  if (!fault) return;
  failure.detail = std::move(fault->text);
  if (fault->needs_a_person) failure.needs_person = true;
}

StoreRequest S3Connection::sign(const S3Request& request, std::chrono::seconds clock_offset) {
  refresh_signer();
  StoreRequest ready;
  ready.method = request.method;
  ready.url = origin_ + request.path;
  if (!request.query.empty()) ready.url.append("?").append(request.query);
  ready.headers =
      signed_headers(name_of(request.method), request, payload_hash(request), clock_offset);
  ready.body = request.body;
  return ready;
}

std::string S3Connection::sign_head(std::string_view path, std::string_view empty_sha256) {
  S3Request request;
  request.path = path;
  request.headers.emplace_back("x-amz-checksum-mode", "ENABLED");
  std::string text = fmt::format(
      "HEAD {} HTTP/1.1\r\nUser-Agent: {}\r\nAccept-Encoding: identity\r\n", path, kUserAgent);
  for (const auto& [name, value] :
       signed_headers("HEAD", request, empty_sha256, context_.clock_offset.get())) {
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text.append("\r\n");
}

std::vector<HttpHeader> S3Connection::signed_headers(std::string_view method,
                                                     const S3Request& request,
                                                     std::string_view payload_sha256,
                                                     std::chrono::seconds clock_offset) {
  SigningRequest signing{method, request.path, request.query, request.headers, payload_sha256};
  // Written out, not left to libcurl: what is signed is what is sent.
  signing.headers.emplace_back("Host", host_);
  if (!credentials_->session_token.empty()) {
    signing.headers.emplace_back("x-amz-security-token", credentials_->session_token.reveal());
  }
  std::vector<HttpHeader> signature = signer_->sign(signing, signing_time(clock_offset));
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

}  // namespace m2b
