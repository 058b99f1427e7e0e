#include "m2b/upload/s3_store.hpp"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "m2b/util/log.hpp"
#include "upload/batch_check.hpp"
#include "upload/classify.hpp"
#include "upload/curl.hpp"
#include "upload/digest.hpp"
#include "upload/put_proof.hpp"
#include "upload/s3_connection.hpp"
#include "upload/tar_archive.hpp"

namespace m2b {
namespace {

constexpr std::string_view kDefaultRegion = "us-east-1";
/// The label for a success that no S3 store would report in this way: some other server answers.
constexpr std::string_view kNotS3 = "not_s3";
/// The label for a batch that was taken but not seen whole in the store.
constexpr std::string_view kUnconfirmed = "batch_unconfirmed";
/// The label for an upload that the store took, as it says, without a proof.
constexpr std::string_view kUnproven = "unproven";
constexpr std::string_view kChecksumHeader = "x-amz-checksum-sha256";
/// What is read back of an object; less than the bound of an answer.
constexpr std::size_t kReadBackBytes = std::size_t{16} << 10U;
constexpr std::size_t kToldCodeBytes = 64;  // longer than any error code

/// Whether a refusal may be about a checksum header that the store does not know.
bool may_be_about_checksum(const PutResult& refusal) {
  for (const std::string_view code :
       {"InvalidArgument", "InvalidRequest", "NotImplemented", "http_400", "http_501"}) {
    if (refusal.code == code) return true;
  }
  return false;
}

/// Whether a refusal may be about a payload that is not signed. AWS lets policies ask for one.
bool may_be_about_payload(const PutResult& refusal) {
  return refusal.code == "AccessDenied" || refusal.code == "XAmzContentSHA256Mismatch" ||
         may_be_about_checksum(refusal);
}

/// Whether the server itself failed.
bool is_server_error(const PutResult& result) { return result.http_status >= 500; }

/// Whether it is an S3 store that answers so when it is asked where the bucket is. Not all know the
/// question, and not all credentials may ask it.
bool is_about_bucket(const S3Answer& seen) {
  const PutResult& result = seen.result;
  for (const std::string_view code :
       {"AccessDenied", "NoSuchBucket", "NotImplemented", "MethodNotAllowed"}) {
    if (result.code == code) return true;
  }
  if (result.outcome != PutOutcome::refused) return result.outcome == PutOutcome::stored;
  // With any other refusal in S3's own words; those of a proxy about rights and sizes have none.
  const bool may_be_of_proxy = result.http_status == 403 || result.http_status == 413 ||
                               result.http_status == 414 || result.http_status == 431;
  return (result.scope == Scope::ambiguous || result.scope == Scope::object) &&
         !is_server_error(result) && !may_be_of_proxy &&
         !parse_s3_error(seen.response.body).code.empty();
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

StoreReply reply_of(S3Answer answer) {
  StoreReply reply;
  reply.s3_code = parse_s3_error(answer.response.body).code;
  reply.server = std::move(answer.response.server);
  reply.body = std::move(answer.response.body);
  reply.result = std::move(answer.result);
  return reply;
}

/// A refusal by something on the way to the store, or in its place, that somebody has to change.
PutResult wrong_path(int http_status, std::string_view code, std::string_view detail) {
  PutResult result = refusal(Scope::path, http_status, code, detail);
  result.needs_person = true;
  return result;
}

}  // namespace

/// An object on its way, and what its answer is compared with.
struct S3Store::Upload {
  const Object& object;
  UploadedBody body;
};

S3Store::S3Store(StoreContext& context)
    : options_(context.options),
      batches_(context.batches),
      proof_(context.proof),
      connection_(std::make_unique<S3Connection>(context)) {}

S3Store::~S3Store() = default;

PutResult S3Store::put(const Object& object, std::stop_token abort) {
  if (auto doubt = lasting_doubt(abort)) return *std::move(doubt);
  const std::string_view bytes = object.body;
  const Upload upload{object, {bytes, sha256(std::span(&bytes, 1))}};
  return put_proven(upload, proof_.plan(), abort);
}

S3Request S3Store::request_to_put(const Upload& upload, const ProofPlan& plan) const {
  S3Request request;
  request.method = HttpMethod::put;
  request.path = connection_->object_path(upload.object.key.str());
  request.headers.emplace_back("Content-Type", upload.object.content_type);
  for (const auto& [name, value] : upload.object.metadata) {
    request.headers.emplace_back("x-amz-meta-" + name, value);
  }
  if (plan.sends_checksum) {
    request.headers.emplace_back(kChecksumHeader, upload.body.checksum());
  }
  if (plan.sends_digest) {
    request.headers.emplace_back(fmt::format("x-amz-meta-{}", kDigestName),
                                 digest_value(upload.body));
  }
  request.body = {upload.object.body};
  request.body_sha256 = upload.body.sha256;
  request.signs_body = plan.signs_payload;
  return request;
}

/// What the store can prove is found by trying, with a handful of requests.
PutResult S3Store::put_proven(const Upload& upload, ProofPlan plan, const std::stop_token& abort) {
  S3Answer answer = put_request(request_to_put(upload, plan), abort);
  if (answer.response.transport == CURLE_WEIRD_SERVER_REPLY) proof_.doubt();
  if (answer.result.outcome != PutOutcome::stored) {
    const auto other_plan =
        proof_.may_try_another() ? plan_after_refusal(plan, answer.result) : std::nullopt;
    if (!other_plan) return std::move(answer.result);
    PutResult other = put_proven(upload, *other_plan, abort);
    if (plan_after_refusal(plan, other)) {
      proof_.another_was_refused_alike();
      return std::move(answer.result);
    }
    if (other.outcome == PutOutcome::stored && !plan.signs_payload) proof_.payload_must_be_signed();
    return other;
  }

  const bool computes = proof_.has_echoed() && answer.response.connection == computing_connection_;
  const PutFinding finding = examine_put(answer.response, upload.body, computes);
  switch (finding.evidence) {
    case PutEvidence::checksum:
    case PutEvidence::md5:
      computing_connection_ = answer.response.connection;
      proof_.proven(plan, !answer.response.sha256.empty());
      return std::move(answer.result);
    case PutEvidence::echo_only:
      if (plan.sends_digest) break;
      if (auto said = challenge(upload, plan, abort)) {
        if (said->outcome != PutOutcome::stored) return *std::move(said);
        break;
      }
      proof_.proven(plan, true);
      return std::move(answer.result);
    case PutEvidence::etag_only:
      break;
    case PutEvidence::none:
      return not_s3(answer.response, finding.cause);
  }
  if (!plan.sends_digest) {
    plan.sends_digest = true;
    plan.signs_payload = true;  // the digest tells of the bytes only if the store checks them
    return put_proven(upload, plan, abort);
  }
  PutResult proven = prove_by_head(upload, strong_etag(answer.response.etag), abort);
  if (proven.outcome == PutOutcome::stored) proof_.proven(plan, false);
  return proven;
}

std::optional<PutResult> S3Store::challenge(const Upload& upload, const ProofPlan& plan,
                                            const std::stop_token& abort) {
  S3Request request = request_to_put(upload, plan);
  for (auto& [name, value] : request.headers) {
    if (name == kChecksumHeader) value = upload.body.wrong_checksum();
  }
  S3Answer answer = connection_->send(request, abort);
  if (!is_checksum_refusal(answer.response)) return std::move(answer.result);
  computing_connection_ = answer.response.connection;
  return std::nullopt;
}

/// What to try before a refusal is believed: it may be about what is sent for the proof.
std::optional<ProofPlan> S3Store::plan_after_refusal(ProofPlan plan,
                                                     const PutResult& refusal) const {
  // Its code may be that of the request to create the bucket.
  if (refusal.scope == Scope::bucket) return std::nullopt;
  if (!plan.signs_payload && may_be_about_payload(refusal)) {
    plan.signs_payload = true;
    return plan;
  }
  if (plan.sends_checksum && !proof_.has_echoed() && may_be_about_checksum(refusal)) {
    plan.sends_checksum = false;
    return plan;
  }
  return std::nullopt;
}

PutResult S3Store::prove_by_head(const Upload& upload, std::string_view put_etag,
                                 const std::stop_token& abort) {
  const std::string path = connection_->object_path(upload.object.key.str());
  const HeadRound round = connection_->heads(std::span(&path, 1), abort);
  if (round.failure != CURLE_OK) {
    if (round.failure == CURLE_WEIRD_SERVER_REPLY) proof_.doubt();
    return result_of_failure(round.failure, round.failure_text);
  }
  const HeadAnswer& answer = round.answers.front();
  std::string_view doubt = doubt_of_head(answer, put_etag, upload.body);
  if (doubt.empty()) doubt = fault_of_reading(upload, abort);
  if (abort.stop_requested()) return result_of_failure(CURLE_ABORTED_BY_CALLBACK, {});
  if (doubt.empty()) return stored_result(answer.status);
  proof_.doubt();
  return wrong_path(
      answer.status, kUnproven,
      fmt::format("the upload was answered like a success, but nothing proves that the store has "
                  "the bytes (HEAD gives {} {}: {}). The key must be allowed to look at objects "
                  "(s3:GetObject), and MINIO_URL has to lead to the store itself",
                  answer.status, answer.code.substr(0, kToldCodeBytes), doubt));
}

/// All that a HEAD tells was in the request. Who keeps heads and no bodies is found out here.
std::string_view S3Store::fault_of_reading(const Upload& upload, const std::stop_token& abort) {
  const std::string_view bytes = upload.body.bytes;
  if (bytes.empty() || keeping_connection_ == connection_->number()) return {};
  const std::size_t length = std::min(bytes.size(), kReadBackBytes);
  S3Request request;
  request.path = connection_->object_path(upload.object.key.str());
  request.headers.emplace_back("Range",
                               fmt::format("bytes={}-{}", bytes.size() - length, bytes.size() - 1));
  const S3Answer answer = connection_->send(request, abort);
  const StoreResponse& response = answer.response;
  if (response.transport != CURLE_OK || !response.fault.empty() || response.status / 100 != 2) {
    return "the object cannot be read";
  }
  if (response.body != bytes.substr(bytes.size() - length)) return "the object has other bytes";
  keeping_connection_ = response.connection;
  return {};
}

PutResult S3Store::not_s3(const StoreResponse& response, std::string_view cause) {
  proof_.doubt();
  return wrong_path(
      response.status, kNotS3,
      fmt::format("{}: no S3 store answered (Server \"{}\", Content-Type \"{}\"). Check that "
                  "MINIO_URL is the address of the store's S3 API, and what stands between "
                  "here and there (login page, proxy, cache)",
                  cause, response.server, response.content_type));
}

std::optional<PutResult> S3Store::lasting_doubt(const std::stop_token& abort) {
  if (!proof_.is_doubted()) return std::nullopt;
  S3Answer seen = look_at_bucket(abort);
  if (!is_about_bucket(seen)) return std::move(seen.result);
  proof_.trust();
  return std::nullopt;
}

bool S3Store::takes_batches() const { return batches_.worth_trying(); }

bool S3Store::fits_batch(const Object& object) const {
  return object.body.size() <= kMaxBatchedBytes && is_archive_name(object.key.str());
}

PutResult S3Store::put_batch(std::span<const Object* const> objects, std::stop_token abort) {
  assert(!objects.empty());
  if (auto doubt = lasting_doubt(abort)) return *std::move(doubt);
  const TarArchive archive(objects);
  S3Request request;
  request.method = HttpMethod::put;
  request.path = connection_->object_path(kArchiveKey);
  request.headers.emplace_back("Content-Type", "application/x-tar");
  request.headers.emplace_back("X-Amz-Meta-Snowball-Auto-Extract", "true");
  request.body = archive.pieces();
  S3Answer answer = put_request(request, abort);
  if (answer.result.outcome == PutOutcome::stored) {
    const std::string_view fault = fault_of_put(answer.response);
    return fault.empty() ? confirm(objects, abort) : not_s3(answer.response, fault);
  }
  const PutResult& taken = answer.result;
  // What is refused for other reasons is refused for single objects as well.
  const bool may_be_about_archive =
      taken.outcome == PutOutcome::refused && !taken.needs_person && !is_server_error(taken) &&
      (taken.scope == Scope::object || taken.scope == Scope::ambiguous);
  if (is_about_archives(taken)) {
    batches_.turn_off("the store refuses archives", taken.detail);
  } else if (may_be_about_archive) {
    batches_.failed("the store refuses the archive", taken.detail);
  }
  return std::move(answer.result);
}

PutResult S3Store::confirm(std::span<const Object* const> objects, const std::stop_token& abort) {
  std::vector<std::string> paths;
  paths.reserve(objects.size());
  for (const Object* const object : objects) {
    paths.push_back(connection_->object_path(object->key.str()));
  }
  const HeadRound round = connection_->heads(paths, abort);
  if (round.failure == CURLE_ABORTED_BY_CALLBACK) return result_of_failure(round.failure, {});
  PutResult unconfirmed = refusal(Scope::ambiguous, 0, kUnconfirmed);
  if (round.failure != CURLE_OK) {
    unconfirmed.detail = result_of_failure(round.failure, round.failure_text).detail;
    batches_.failed("looking at the objects fails", unconfirmed.detail);
    return unconfirmed;
  }
  BatchCheck check = check_batch(objects, round.answers);
  switch (check.verdict) {
    case BatchVerdict::confirmed:
      batches_.confirmed();
      return stored_result();
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
  PutResult seen = look_at_bucket(abort).result;
  const bool may_not_look = seen.code == "AccessDenied";
  if (seen.code != "NoSuchBucket" && !may_not_look) return seen;

  PutResult created = create_bucket(abort);
  const bool refused = created.code == "AccessDenied" || created.code == "BucketAlreadyExists";
  if (may_not_look && refused) {
    return refusal(Scope::ambiguous, created.http_status, created.code,
                   "neither seeing nor creating the bucket is allowed: " + created.detail);
  }
  if (created.outcome != PutOutcome::stored) return created;
  // Whoever says 200 to everything has created nothing.
  S3Answer now = look_at_bucket(abort);
  return is_about_bucket(now) && now.result.code != "NoSuchBucket" ? created
                                                                   : std::move(now.result);
}

/// The request to put something, and once more after making the bucket should it be missing.
S3Answer S3Store::put_request(const S3Request& request, const std::stop_token& abort) {
  S3Answer answer = connection_->send(request, abort);
  if (answer.result.code != "NoSuchBucket") return answer;

  PutResult created = create_bucket(abort);
  switch (created.outcome) {
    case PutOutcome::stored:
      return connection_->send(request, abort);
    case PutOutcome::stopped:
      return {std::move(created), {}};
    case PutOutcome::refused:
      break;
  }
  const bool passes =
      !created.needs_person &&
      (created.scope == Scope::store || created.scope == Scope::path || is_server_error(created));
  if (passes) return {std::move(created), {}};
  // Whatever the reason: it is not the fault of what was to be put.
  return {refusal(Scope::bucket, created.http_status, created.code,
                  "the bucket does not exist and cannot be created: " + created.detail),
          {}};
}

/// `stored` when the bucket is there. Asks for its location, not by HEAD, whose answer has no body
/// to tell a missing permission from wrong credentials.
S3Answer S3Store::look_at_bucket(const std::stop_token& abort) {
  S3Request request;
  request.path = connection_->bucket_path();
  request.query = "location=";
  S3Answer answer = connection_->send(request, abort);
  if (answer.result.outcome == PutOutcome::stored &&
      !(answer.response.fault.empty() && is_bucket_location(answer.response.body))) {
    answer.result = not_s3(answer.response, "a success without the bucket's location");
  }
  return answer;
}

StoreReply S3Store::check_bucket(const std::stop_token& abort) {
  return reply_of(look_at_bucket(abort));
}

StoreReply S3Store::read(const ObjectKey& key, const std::stop_token& abort) {
  S3Request request;
  request.path = connection_->object_path(key.str());
  return reply_of(connection_->send(request, abort));
}

StoreReply S3Store::remove(const ObjectKey& key, const std::stop_token& abort) {
  constexpr int kNoContent = 204;
  S3Request request;
  request.method = HttpMethod::del;
  request.path = connection_->object_path(key.str());
  S3Answer answer = connection_->send(request, abort);
  if (answer.response.transport == CURLE_OK && answer.response.status == kNoContent) {
    answer.result = stored_result(kNoContent);
  }
  return reply_of(std::move(answer));
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
    return stored_result(answer.response.status);  // another connection was faster
  }
  if (answer.result.outcome == PutOutcome::stored) {
    log::info("upload", "bucket created", {{"bucket", options_.bucket}});
  }
  return std::move(answer.result);
}

CurlGlobal::CurlGlobal() { curl::check(curl_global_init(CURL_GLOBAL_DEFAULT), "curl_global_init"); }

CurlGlobal::~CurlGlobal() { curl_global_cleanup(); }

}  // namespace m2b
