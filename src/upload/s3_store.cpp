#include "m2b/upload/s3_store.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "m2b/util/log.hpp"
#include "upload/classify.hpp"
#include "upload/curl.hpp"
#include "upload/http_connection.hpp"
#include "upload/sigv4.hpp"

namespace m2b {
namespace {

constexpr std::string_view kLog = "upload";
constexpr std::string_view kDefaultRegion = "us-east-1";
/// The label for a success that no S3 store would report in this way: some other server answers.
constexpr std::string_view kNotS3 = "not_s3";

/// As browsers and proxies write it: the default port of the scheme is left out.
std::string host_header(const StoreOptions& options) {
  const std::uint16_t default_port = options.secure ? 443 : 80;
  if (options.port == default_port) return options.host;
  return fmt::format("{}:{}", options.host, options.port);
}

/// A request to the store, not yet signed.
struct S3Request {
  HttpMethod method = HttpMethod::get;
  std::string path;             // encoded
  std::string_view query = {};  // encoded, sorted
  std::vector<HttpHeader> headers;
  std::string_view body;
};

struct S3Answer {
  PutResult result;
  HttpResponse response;
};

std::string_view name_of(HttpMethod method) {
  switch (method) {
    case HttpMethod::get:
      return "GET";
    case HttpMethod::put:
      return "PUT";
  }
  return {};
}

PutResult not_s3(int http_status, std::string_view detail) {
  return {PutOutcome::hold, http_status, std::string(kNotS3), std::string(detail)};
}

}  // namespace

class S3Store::Connection {
 public:
  Connection(const StoreOptions& options, ClockOffset& clock_offset)
      : options_(options),
        clock_offset_(clock_offset),
        host_(host_header(options)),
        origin_(fmt::format("{}://{}", options.secure ? "https" : "http", host_)),
        bucket_path_(encode_path("/" + options.bucket)),
        http_(options) {}

  PutResult put_object(const Object& object, const std::stop_token& abort) {
    S3Request request;
    request.method = HttpMethod::put;
    request.path = bucket_path_ + encode_path("/" + object.key.str());
    request.headers.emplace_back("Content-Type", object.content_type);
    for (const auto& [name, value] : object.metadata) {
      request.headers.emplace_back("x-amz-meta-" + name, value);
    }
    request.body = object.body;
    S3Answer answer = send(request, abort);
    // A captive portal or a proxy also says 200. Believing it would lose the picture.
    if (answer.result.outcome == PutOutcome::stored && !answer.response.has_etag) {
      return not_s3(answer.result.http_status, "success without an ETag: no S3 store answered");
    }
    return std::move(answer.result);
  }

  /// `stored` when the bucket is there. Asks for its location, not by HEAD, whose answer has no
  /// body to tell a missing permission from wrong credentials.
  PutResult look_at_bucket(const std::stop_token& abort) {
    S3Request request;
    request.path = bucket_path_;
    request.query = "location=";
    S3Answer answer = send(request, abort);
    if (answer.result.outcome == PutOutcome::stored &&
        answer.response.body.find("LocationConstraint") == std::string::npos) {
      return not_s3(answer.result.http_status, "no bucket location: no S3 store answered");
    }
    return std::move(answer.result);
  }

  PutResult create_bucket(const std::stop_token& abort) {
    std::string body;
    if (options_.region != kDefaultRegion) {  // S3 refuses to be told its default region
      body = fmt::format(
          "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
          "<LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
          options_.region);
    }
    S3Request request;
    request.method = HttpMethod::put;
    request.path = bucket_path_;
    request.body = body;
    S3Answer answer = send(request, abort);
    if (parse_s3_error(answer.response.body).code == "BucketAlreadyOwnedByYou") {
      return {PutOutcome::stored, answer.response.status, {}, {}};  // another connection was faster
    }
    if (answer.result.outcome == PutOutcome::stored) {
      log::info(kLog, "bucket created", {{"bucket", options_.bucket}});
    }
    return std::move(answer.result);
  }

 private:
  /// Sends, and once more with the store's own time should it refuse ours.
  S3Answer send(const S3Request& request, const std::stop_token& abort) {
    S3Answer answer = send_once(request, abort);
    if (answer.result.code == "RequestTimeTooSkewed" && answer.response.date) {
      correct_clock(*answer.response.date);
      answer = send_once(request, abort);
    }
    return answer;
  }

  S3Answer send_once(const S3Request& request, const std::stop_token& abort) {
    S3Answer answer;
    if (abort.stop_requested()) {
      answer.result = result_of_failure(CURLE_ABORTED_BY_CALLBACK, {});
      return answer;
    }
    answer.response = http_.perform(sign(request), abort);
    const HttpResponse& response = answer.response;
    answer.result = response.transport == CURLE_OK
                        ? result_of_answer(response.status, response.body)
                        : result_of_failure(response.transport, response.transport_text);
    return answer;
  }

  [[nodiscard]] HttpRequest sign(const S3Request& request) const {
    const std::string payload_sha256 = sha256_hex(request.body);
    SigningRequest signing{name_of(request.method), request.path, request.query, request.headers,
                           payload_sha256};
    // Written out, not left to libcurl: what is signed is what is sent.
    signing.headers.emplace_back("Host", host_);
    const SigningCredentials credentials{options_.access_key, options_.secret_key.reveal(),
                                         options_.region};
    std::vector<HttpHeader> signature = sign_request(signing, credentials, store_time());

    HttpRequest ready;
    ready.method = request.method;
    ready.url = origin_ + request.path;
    if (!request.query.empty()) ready.url.append("?").append(request.query);
    ready.headers = std::move(signing.headers);
    for (HttpHeader& header : signature) ready.headers.push_back(std::move(header));
    ready.body = {request.body};
    return ready;
  }

  [[nodiscard]] static std::chrono::sys_seconds local_time() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  }
  [[nodiscard]] std::chrono::sys_seconds store_time() const {
    return local_time() + clock_offset_.get();
  }

  void correct_clock(std::chrono::sys_seconds store_date) {
    const std::chrono::seconds offset = store_date - local_time();
    clock_offset_.set(offset);
    log::warn(kLog, "the store refused our clock; signing with its time from now on",
              {{"offset_seconds", offset.count()}});
  }

  const StoreOptions& options_;
  ClockOffset& clock_offset_;
  const std::string host_;
  const std::string origin_;
  const std::string bucket_path_;
  HttpConnection http_;
};

S3Store::S3Store(const StoreOptions& options, ClockOffset& clock_offset)
    : connection_(std::make_unique<Connection>(options, clock_offset)) {}

S3Store::~S3Store() = default;

PutResult S3Store::put(const Object& object, std::stop_token abort) {
  PutResult result = connection_->put_object(object, abort);
  if (result.code != "NoSuchBucket") return result;

  PutResult created = connection_->create_bucket(abort);
  switch (created.outcome) {
    case PutOutcome::stored:
      return connection_->put_object(object, abort);
    case PutOutcome::retry_later:
    case PutOutcome::stopped:
      return created;
    case PutOutcome::hold:
    case PutOutcome::doubtful:
    case PutOutcome::rejected:
      break;
  }
  // Whatever the reason: it is not this object's fault.
  created.outcome = PutOutcome::hold;
  created.detail = "the bucket does not exist and cannot be created: " + created.detail;
  return created;
}

PutResult S3Store::ensure_bucket(std::stop_token abort) {
  PutResult seen = connection_->look_at_bucket(abort);
  const bool may_not_look = seen.code == "AccessDenied";
  if (seen.code != "NoSuchBucket" && !may_not_look) return seen;

  PutResult created = connection_->create_bucket(abort);
  const bool refused = created.code == "AccessDenied" || created.code == "BucketAlreadyExists";
  if (may_not_look && refused) {
    created.outcome = PutOutcome::doubtful;
    created.detail = "neither seeing nor creating the bucket is allowed: " + created.detail;
  }
  return created;
}

CurlGlobal::CurlGlobal() { curl::check(curl_global_init(CURL_GLOBAL_DEFAULT), "curl_global_init"); }

CurlGlobal::~CurlGlobal() { curl_global_cleanup(); }

}  // namespace m2b
