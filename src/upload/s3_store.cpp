#include "m2b/upload/s3_store.hpp"

#include <cassert>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "m2b/util/log.hpp"
#include "upload/batch_check.hpp"
#include "upload/classify.hpp"
#include "upload/curl.hpp"
#include "upload/s3_connection.hpp"
#include "upload/tar_archive.hpp"

namespace m2b {
namespace {

constexpr std::string_view kDefaultRegion = "us-east-1";
/// The label for a success that no S3 store would report in this way: some other server answers.
constexpr std::string_view kNotS3 = "not_s3";
/// The label for a batch that was taken but not seen whole in the store.
constexpr std::string_view kUnconfirmed = "batch_unconfirmed";

PutResult not_s3(int http_status, std::string_view detail) {
  return {PutOutcome::hold, http_status, std::string(kNotS3), std::string(detail)};
}

/// Whether a refusal is about archives, while objects may be welcome. What else is refused is so
/// for a while, as are wrong credentials, or for one object of the batch.
bool is_about_archives(const PutResult& refusal) {
  // AccessDenied: the policy may be for keys of ours only. 413: a proxy limits what it lets by.
  for (const std::string_view code : {"AccessDenied", "NotImplemented", "MethodNotAllowed",
                                      "EntityTooLarge", "http_405", "http_413", "http_501"}) {
    if (refusal.code == code) return true;
  }
  return false;
}

}  // namespace

S3Store::S3Store(StoreContext& context)
    : options_(context.options),
      batches_(context.batches),
      connection_(std::make_unique<S3Connection>(context)) {}

S3Store::~S3Store() = default;

PutResult S3Store::put(const Object& object, std::stop_token abort) {
  S3Request request;
  request.method = HttpMethod::put;
  request.path = connection_->object_path(object.key.str());
  request.headers.emplace_back("Content-Type", object.content_type);
  for (const auto& [name, value] : object.metadata) {
    request.headers.emplace_back("x-amz-meta-" + name, value);
  }
  request.body = {object.body};
  return put_request(request, abort);
}

bool S3Store::takes_batches() const { return batches_.worth_trying(); }

bool S3Store::fits_batch(const Object& object) const {
  return object.body.size() <= kMaxBatchedBytes && is_archive_name(object.key.str());
}

PutResult S3Store::put_batch(std::span<const Object* const> objects, std::stop_token abort) {
  assert(!objects.empty());
  const TarArchive archive(objects);
  S3Request request;
  request.method = HttpMethod::put;
  request.path = connection_->object_path(kArchiveKey);
  request.headers.emplace_back("Content-Type", "application/x-tar");
  request.headers.emplace_back("X-Amz-Meta-Snowball-Auto-Extract", "true");
  request.body = archive.pieces();
  PutResult taken = put_request(request, abort);
  if (taken.outcome == PutOutcome::stored) return confirm(objects, abort);
  const bool is_refused =
      taken.outcome == PutOutcome::doubtful || taken.outcome == PutOutcome::rejected;
  if (is_about_archives(taken)) {
    batches_.turn_off("the store refuses archives", taken.detail);
  } else if (is_refused) {
    batches_.failed("the store refuses the archive", taken.detail);
  }
  return taken;
}

PutResult S3Store::confirm(std::span<const Object* const> objects, const std::stop_token& abort) {
  std::vector<std::string> paths;
  paths.reserve(objects.size());
  for (const Object* const object : objects) {
    paths.push_back(connection_->object_path(object->key.str()));
  }
  const HeadRound round = connection_->heads(paths, abort);
  if (round.failure == CURLE_ABORTED_BY_CALLBACK) return result_of_failure(round.failure, {});
  PutResult unconfirmed{PutOutcome::retry_later, 0, std::string(kUnconfirmed), {}};
  if (round.failure != CURLE_OK) {
    unconfirmed.detail = result_of_failure(round.failure, round.failure_text).detail;
    batches_.failed("looking at the objects fails", unconfirmed.detail);
    return unconfirmed;
  }
  BatchCheck check = check_batch(objects, round.answers);
  switch (check.verdict) {
    case BatchVerdict::confirmed:
      batches_.confirmed();
      return {PutOutcome::stored, 200, {}, {}};
    case BatchVerdict::passing:
      batches_.failed(check.cause, check.detail);
      break;
    case BatchVerdict::useless:
      batches_.turn_off(check.cause, check.detail);
      break;
  }
  unconfirmed.http_status = check.http_status;
  unconfirmed.detail = fmt::format("{}: {}", check.cause, check.detail);
  return unconfirmed;
}

PutResult S3Store::ensure_bucket(std::stop_token abort) {
  PutResult seen = look_at_bucket(abort);
  const bool may_not_look = seen.code == "AccessDenied";
  if (seen.code != "NoSuchBucket" && !may_not_look) return seen;

  PutResult created = create_bucket(abort);
  const bool refused = created.code == "AccessDenied" || created.code == "BucketAlreadyExists";
  if (may_not_look && refused) {
    created.outcome = PutOutcome::doubtful;
    created.detail = "neither seeing nor creating the bucket is allowed: " + created.detail;
  }
  return created;
}

/// The request to put something, and once more after making the bucket should it be missing.
PutResult S3Store::put_request(const S3Request& request, const std::stop_token& abort) {
  const auto put_once = [&] {
    S3Answer answer = connection_->send(request, abort);
    // A captive portal or a proxy also says 200. Believing it would lose the picture.
    if (answer.result.outcome == PutOutcome::stored && !answer.response.has_etag) {
      return not_s3(answer.result.http_status, "success without an ETag: no S3 store answered");
    }
    return std::move(answer.result);
  };
  PutResult result = put_once();
  if (result.code != "NoSuchBucket") return result;

  PutResult created = create_bucket(abort);
  switch (created.outcome) {
    case PutOutcome::stored:
      return put_once();
    case PutOutcome::retry_later:
    case PutOutcome::stopped:
      return created;
    case PutOutcome::hold:
    case PutOutcome::doubtful:
    case PutOutcome::rejected:
      break;
  }
  // Whatever the reason: it is not the fault of what was to be put.
  created.outcome = PutOutcome::hold;
  created.detail = "the bucket does not exist and cannot be created: " + created.detail;
  return created;
}

/// `stored` when the bucket is there. Asks for its location, not by HEAD, whose answer has no body
/// to tell a missing permission from wrong credentials.
PutResult S3Store::look_at_bucket(const std::stop_token& abort) {
  S3Request request;
  request.path = connection_->bucket_path();
  request.query = "location=";
  S3Answer answer = connection_->send(request, abort);
  if (answer.result.outcome == PutOutcome::stored &&
      answer.response.body.find("LocationConstraint") == std::string::npos) {
    return not_s3(answer.result.http_status, "no bucket location: no S3 store answered");
  }
  return std::move(answer.result);
}

PutResult S3Store::create_bucket(const std::stop_token& abort) {
  std::string body;
  if (options_.region != kDefaultRegion) {  // S3 refuses to be told its default region
    body = fmt::format(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        options_.region);
  }
  S3Request request;
  request.method = HttpMethod::put;
  request.path = connection_->bucket_path();
  request.body = {body};
  S3Answer answer = connection_->send(request, abort);
  if (parse_s3_error(answer.response.body).code == "BucketAlreadyOwnedByYou") {
    return {PutOutcome::stored, answer.response.status, {}, {}};  // another connection was faster
  }
  if (answer.result.outcome == PutOutcome::stored) {
    log::info("upload", "bucket created", {{"bucket", options_.bucket}});
  }
  return std::move(answer.result);
}

CurlGlobal::CurlGlobal() { curl::check(curl_global_init(CURL_GLOBAL_DEFAULT), "curl_global_init"); }

CurlGlobal::~CurlGlobal() { curl_global_cleanup(); }

}  // namespace m2b
