#include "status/store_failure_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "m2b/util/ascii.hpp"
#include "status/words.hpp"

namespace m2b {
namespace {

struct Row {
  std::string_view code;  // of PutResult; with a * at its end: all that begin so
  std::string_view id;
  std::string_view headline;
  std::string_view cause;   // {0}: store, {1}: bucket
  std::string_view remedy;  // likewise
};

constexpr std::string_view kRefusesKey = "Store refuses our key";
constexpr std::string_view kOutOfOrder = "Store out of order";
constexpr std::string_view kNotTheStore = "That is not the store";
constexpr std::string_view kUnreachable = "Store unreachable";

constexpr std::string_view kSetKey =
    "Set MINIO_ACCESS_KEY and MINIO_SECRET_KEY to a pair that is valid at {0}.";
constexpr std::string_view kCheckStore =
    "See whether the store runs at {0}, and whether this machine reaches it (network, firewall, "
    "MINIO_URL). Uploads go on by themselves once it answers.";
constexpr std::string_view kSeeLog =
    "See the log of the store. Uploads go on by themselves once it is well.";
constexpr std::string_view kSetClock =
    "Set this machine's clock and the store's, and let both follow a time server (NTP).";
constexpr std::string_view kMakeRoom =
    "Make room in the store: delete old objects, add disks, or raise the quota of the bucket {1}.";
constexpr std::string_view kPassHeaders =
    "Let every proxy before the store pass all headers as they are. nginx drops some of ours "
    "unless "
    "underscores_in_headers is on, or ignore_invalid_headers is off.";
constexpr std::string_view kRaiseSizeLimit =
    "Raise the limit of the store or of the proxy before it. nginx: client_max_body_size, which is "
    "1 MB unless set (as a Kubernetes ingress: the annotation proxy-body-size). Apache: "
    "LimitRequestBody.";
constexpr std::string_view kTakeLongHeaders =
    "Let the store, or the proxy before it, take headers of 8 kB. nginx: "
    "large_client_header_buffers.";
constexpr std::string_view kPassLength =
    "Let proxies pass the header Content-Length (nginx: proxy_request_buffering on).";
constexpr std::string_view kFindWhatChanges =
    "Find what changes bodies between here and {0}: a proxy or filter, a network adapter, or "
    "memory that is broken.";

constexpr std::string_view kDamaged = "What arrives at {0} is not what we sent.";
constexpr std::string_view kNoLength = "Something on the way takes the length off our requests.";
constexpr std::string_view kChangedHeaders =
    "{0} does not find the headers that we sent: something on the way has altered them.";

/// Answers of the store, or of what stands in its place.
constexpr std::array kAnswers{
    Row{"InvalidAccessKeyId", "store_refuses_key", kRefusesKey,
        "{0} does not know the access key that we use.", kSetKey},
    Row{"SignatureDoesNotMatch", "store_refuses_key", kRefusesKey,
        "{0} knows our access key, but the secret key is not the one that belongs to it, or our "
        "headers were altered on the way.",
        "Set MINIO_SECRET_KEY to the secret of this access key. If it is right, a proxy before {0} "
        "alters our headers; nginx drops some unless underscores_in_headers is on, or "
        "ignore_invalid_headers is off."},
    Row{"AccessDenied", "store_refuses_key", "Store does not let us write",
        "{0} knows our key, but the key may not write to the bucket {1}.",
        "Give the key the right to put objects into the bucket {1} (s3:PutObject)."},
    Row{"ExpiredToken", "store_refuses_key", kRefusesKey, "Our key at {0} has expired.", kSetKey},
    Row{"RequestTimeTooSkewed", "store_refuses_time", "Store refuses our time",
        "{0} says that our clock differs from its own by more than 15 minutes.", kSetClock},
    Row{"NoSuchBucket", "store_no_bucket", "Bucket missing",
        "{0} has no bucket {1}, and our key may not make it.",
        "Make the bucket {1}, or correct BUCKET_NAME."},
    Row{"BucketAlreadyExists", "store_no_bucket", "Bucket belongs to somebody else",
        "At {0} the bucket {1} belongs to another account.",
        "Choose another BUCKET_NAME, or use a key of that account."},
    Row{"AuthorizationHeaderMalformed", "store_refuses", "Store expects another region",
        "{0} is in another region than the one our requests are signed for.",
        "Set S3_REGION to the store's region."},
    Row{"XMinioStorageFull", "store_full", "Store full", "The disks of {0} are full.", kMakeRoom},
    Row{"http_507", "store_full", "Store full", "{0} has no room.", kMakeRoom},
    Row{"QuotaExceeded", "store_full", "Store full", "The quota of the bucket {1} is used up.",
        kMakeRoom},
    Row{"XMinioAdminBucketQuotaExceeded", "store_full", "Store full",
        "The quota of the bucket {1} is used up.", kMakeRoom},
    Row{"not_s3", "store_refuses", kNotTheStore,
        "What answers at {0} is no S3 store: a login page, a proxy, another server.",
        "Check MINIO_URL, and what stands between here and {0}. Nothing is sent there; uploads go "
        "on by themselves once the store answers."},
    Row{"unproven", "store_refuses", "Store does not prove our uploads",
        "{0} says that it takes our objects, but nothing shows that it has them.",
        "Give the key the right to look at objects (s3:GetObject), and check that no cache or "
        "proxy answers in place of {0}."},
    Row{"http_3*", "store_refuses", "Store refuses us at this address",
        "{0} sends us to another address.",
        "Set MINIO_URL, and S3_REGION, to where the store itself is."},
    Row{"http_401", "store_refuses_key", kRefusesKey, "{0}, or a proxy before it, wants a login.",
        kSetKey},
    Row{"http_403", "store_refuses", "Store refuses us",
        "{0}, or a firewall or proxy before it, forbids our uploads.",
        "See which rule forbids them: the policy of our key (s3:PutObject for the bucket {1}), or "
        "a firewall or proxy."},
    Row{"http_407", "store_refuses", "Proxy refuses us",
        "The proxy on the way to {0} wants a user name and a password.",
        "Set them in http_proxy or https_proxy, or name the store in no_proxy."},
    Row{"http_411", "store_refuses", "Store refuses our uploads", kNoLength, kPassLength},
    Row{"MissingContentLength", "store_refuses", "Store refuses our uploads", kNoLength,
        kPassLength},
    Row{"http_413", "store_refuses", "Store refuses objects of this size",
        "{0}, or a proxy before it, takes no objects of this size.", kRaiseSizeLimit},
    Row{"http_414", "store_refuses", "Store refuses our requests",
        "{0}, or a proxy before it, takes no addresses of this length.", kTakeLongHeaders},
    Row{"http_431", "store_refuses", "Store refuses our headers",
        "{0}, or a proxy before it, takes no headers of this length.", kTakeLongHeaders},
    Row{"http_501", "store_refuses", "Store refuses our uploads",
        "{0}, or a proxy before it, cannot do what we ask for.",
        "Check MINIO_URL: what answers there takes no objects."},
    Row{"http_511", "store_refuses", kNotTheStore, "The network wants a login.",
        "Log this machine in to its network, or use another one."},
    Row{"BadDigest", "store_refuses", "Store gets other bytes than ours", kDamaged,
        kFindWhatChanges},
    Row{"XAmzContent*", "store_refuses", "Store gets other bytes than ours", kDamaged,
        kFindWhatChanges},
    Row{"SlowDown*", "store_busy", "Store busy", "{0} asks us to slow down.",
        "Nothing, if this passes; otherwise the store needs more power."},
    Row{"http_502", "store_busy", kOutOfOrder, "A proxy before {0} gets no answer from it.",
        kSeeLog},
    Row{"http_504", "store_busy", kOutOfOrder, "A proxy before {0} gets no answer from it.",
        kSeeLog},
    Row{"http_5*", "store_busy", kOutOfOrder,
        "{0}, or a proxy before it, answers with an error of its own.", kSeeLog},
    Row{"InternalError", "store_busy", kOutOfOrder, "{0} answers with an error of its own.",
        kSeeLog},
};
constexpr Row kAlteredHeaders{"", "store_refuses", "Store refuses our headers", kChangedHeaders,
                              kPassHeaders};

/// Why there was no answer. These alone may be "unreachable".
constexpr std::array kTransport{
    Row{"could_not_connect", "store_unreachable", kUnreachable, "Nothing answers at {0}.",
        kCheckStore},
    Row{"dns", "store_unreachable", kUnreachable, "The name of the store, {0}, cannot be resolved.",
        "See whether MINIO_URL is right and whether this machine has a name server."},
    Row{"timeout", "store_unreachable", kUnreachable, "{0} does not answer in time.", kCheckStore},
    Row{"connection_reset", "store_unreachable", kUnreachable, "Connections to {0} break off.",
        kCheckStore},
    Row{"no_answer", "store_unreachable", kUnreachable,
        "{0} closes our connections without an answer.", kCheckStore},
    Row{"cut_answer", "store_unreachable", kUnreachable,
        "Connections to {0} break off in the middle of an answer.", kCheckStore},
    Row{"tls_handshake", "store_tls", "No TLS with the store",
        "{0} and we do not agree on a TLS connection; it may speak plain HTTP.",
        "If the store has no TLS, set MINIO_SECURE=False; otherwise see its log."},
    Row{"tls_*", "store_tls", "Store's certificate not accepted",
        "The TLS connection to {0} was given up: we cannot be sure that it is the store.",
        "Give the store a valid certificate for this name from an authority that this machine "
        "trusts."},
    Row{"not_http", "store_refuses", kNotTheStore, "What answers at {0} does not speak S3.",
        "Correct MINIO_URL: the S3 port of MinIO is mostly 9000, its console is not it."},
};
constexpr Row kNoTransport{"", "store_unreachable", kUnreachable, "There is no connection to {0}.",
                           kCheckStore};
constexpr Row kWrongTransport{
    "", "store_unreachable", "No connection to the store", "{0} cannot be reached as it is set up.",
    "This does not pass by itself: check MINIO_URL, and the settings that begin with STORE_."};

/// For answers that are in no row.
Row row_of_scope(const PutResult& result) {
  constexpr std::string_view kSeeWhatItSays =
      "See what it says, and check MINIO_URL, the keys, the bucket {1}, and proxies before the "
      "store.";
  const bool is_server_error = result.http_status >= 500;
  switch (result.scope) {
    case Scope::credentials:
      return {"", "store_refuses_key", kRefusesKey,
              "{0} does not accept our access key, or the account that it belongs to.",
              "See what it says about the account of the key, or set another key."};
    case Scope::bucket:
      return {"", "store_refuses", "Store refuses the bucket",
              "{0} does not let us use the bucket {1}.",
              "Correct BUCKET_NAME or S3_REGION, or change the bucket."};
    case Scope::store:
      return result.needs_person
                 ? Row{"", "store_refuses", "Store refuses our uploads",
                       "{0} cannot do what we ask for.", kSeeWhatItSays}
                 : Row{"", "store_busy", "Store busy", "{0} takes no objects at the moment.",
                       "Nothing, if this passes; otherwise see the log of the store."};
    case Scope::path:
      return is_server_error
                 ? Row{"", "store_busy", kOutOfOrder,
                       "{0}, or a proxy before it, answers with an error of its own.", kSeeLog}
                 : Row{"", "store_refuses", kNotTheStore, "What answers at {0} is not the store.",
                       "Check MINIO_URL, and the routes of proxies between here and {0}."};
    case Scope::object:
    case Scope::ambiguous:
      break;
  }
  return is_server_error
             ? Row{"", "store_busy", kOutOfOrder,
                   "{0}, or a proxy before it, answers with an error of its own.", kSeeLog}
             : Row{"", "store_refuses", "Store refuses our uploads",
                   "{0}, or a proxy before it, refuses our uploads.", kSeeWhatItSays};
}

/// Of refusals while others are stored.
struct RefusalRow {
  std::string_view code;    // as Row::code
  std::string_view cause;   // {0}: store, {1}: bucket, {2}: the resource as policies name it
  std::string_view remedy;  // likewise
};

constexpr std::string_view kBreaksOff = "Connections to {0} break off while these are sent.";
constexpr std::string_view kFindLimit =
    "See whether a proxy or firewall limits the size or the time of uploads. Over a VPN or a "
    "tunnel, see whether packets of full length pass (MTU).";
constexpr std::string_view kFails = "{0}, or a proxy before it, fails on these.";
constexpr std::string_view kSeeLogForThese =
    "See the log of the store: the disks or the nodes for these keys may be broken.";
constexpr std::string_view kNoRoom = "{0} has no room for these.";
constexpr std::string_view kSlowDown = "{0} asks us to slow down with these.";
constexpr std::string_view kWaitForPower =
    "Nothing, if this passes; otherwise the store needs more power, or limits the rate for this "
    "part of the bucket.";

constexpr std::array kRefusals{
    RefusalRow{"AccessDenied", "{0} knows our key, but the key may not write these.",
               "Let the policies of the key and of the bucket allow s3:PutObject on {2}, and none "
               "deny it."},
    RefusalRow{"http_403", "{0}, or a firewall or proxy before it, forbids these.",
               "See which rule forbids them: a policy of the store (s3:PutObject on {2}), or a "
               "firewall or proxy."},
    RefusalRow{"http_413", "{0}, or a proxy before it, takes no objects of this size.",
               kRaiseSizeLimit},
    RefusalRow{"http_414", "{0}, or a proxy before it, takes no keys of this length.",
               kTakeLongHeaders},
    RefusalRow{"http_431", "{0}, or a proxy before it, takes no headers of this length.",
               kTakeLongHeaders},
    RefusalRow{"SignatureDoesNotMatch", kChangedHeaders, kPassHeaders},
    RefusalRow{"MissingSecurityHeader", kChangedHeaders, kPassHeaders},
    RefusalRow{"http_400", "{0}, or a proxy before it, takes these for malformed.",
               "See what it says. If something alters headers on the way: nginx drops some of ours "
               "unless underscores_in_headers is on, or ignore_invalid_headers is off."},
    RefusalRow{"MissingContentLength", kNoLength, kPassLength},
    RefusalRow{"http_411", kNoLength, kPassLength},
    RefusalRow{"BadDigest", kDamaged, kFindWhatChanges},
    RefusalRow{"InvalidDigest", kDamaged, kFindWhatChanges},
    RefusalRow{"XAmzContent*", kDamaged, kFindWhatChanges},
    RefusalRow{"MethodNotAllowed", "{0}, or a proxy before it, allows no PUT for these.",
               "Let proxies pass PUT for these keys, and see whether the store locks them."},
    RefusalRow{"http_405", "{0}, or a proxy before it, allows no PUT for these.",
               "Let proxies pass PUT for these keys, and see whether the store locks them."},
    RefusalRow{"http_404", "{0}, or a proxy before it, knows no such address.",
               "See where the proxy before the store routes these keys to."},
    RefusalRow{"not_s3", "What answers when these are sent is no S3 store.",
               "See which firewall or proxy between here and {0} answers in place of the store."},
    RefusalRow{"unproven",
               "{0} says that it takes these objects, but nothing shows that it has them.",
               "Let the policies allow s3:GetObject on {2}, and check that no cache or proxy "
               "answers in place of {0}."},
    RefusalRow{"XMinioStorageFull", kNoRoom, kMakeRoom},
    RefusalRow{"QuotaExceeded", kNoRoom, kMakeRoom},
    RefusalRow{"XMinioAdminBucketQuotaExceeded", kNoRoom, kMakeRoom},
    RefusalRow{"http_507", kNoRoom, kMakeRoom},
    RefusalRow{"SlowDown*", kSlowDown, kWaitForPower},
    RefusalRow{"TooManyRequests", kSlowDown, kWaitForPower},
    RefusalRow{"http_429", kSlowDown, kWaitForPower},
    RefusalRow{"InternalError", kFails, kSeeLogForThese},
    RefusalRow{"http_502", "A proxy before {0} gets no answer to these.", kFindLimit},
    RefusalRow{"http_504", "A proxy before {0} gets no answer to these.", kFindLimit},
    RefusalRow{"http_5*", kFails, kSeeLogForThese},
    RefusalRow{"timeout", "Uploads of these to {0} do not end in time.", kFindLimit},
    RefusalRow{"connection_reset", kBreaksOff, kFindLimit},
    RefusalRow{"no_answer", kBreaksOff, kFindLimit},
    RefusalRow{"cut_answer", kBreaksOff, kFindLimit},
};
constexpr RefusalRow kPartialHeaders{"", kChangedHeaders, kPassHeaders};
constexpr RefusalRow kSomeServers{
    "", "Others of our requests are taken with the same key and bucket.",
    "If several servers or gateways answer at {0}, let all of them know the key, its rights, and "
    "the bucket {1}."};
constexpr RefusalRow kSomeRefused{"", "{0}, or a proxy before it, does not take these.",
                                  "See what it says, and the log of the store."};

template <class AnyRow>
const AnyRow* find_row(std::span<const AnyRow> rows, std::string_view code) {
  const auto fits = [code](const AnyRow& row) {
    return row.code.ends_with('*') ? code.starts_with(row.code.substr(0, row.code.size() - 1))
                                   : code == row.code;
  };
  const auto row = std::ranges::find_if(rows, fits);
  return row != rows.end() ? &*row : nullptr;
}

/// MinIO answers AccessDenied where a header is missing that was signed, nginx 400 where it does
/// not take one.
bool is_about_headers(const PutResult& result) {
  const bool may_be = result.code == "AccessDenied" || result.code == "InvalidRequest" ||
                      result.code == "InvalidArgument" || result.code == "http_400" ||
                      result.code == "http_403";
  return may_be && ascii_lower(result.detail).find("header") != std::string::npos;
}

Row row_of(const PutResult& result) {
  if (result.scope == Scope::bucket && result.code == "AccessDenied") {
    return *find_row<Row>(kAnswers, "NoSuchBucket");  // missing, and we may not make it
  }
  if (is_about_headers(result)) {
    return kAlteredHeaders;
  }
  if (const Row* const row = find_row<Row>(kAnswers, result.code)) {
    return *row;
  }
  if (result.http_status != 0) {
    return row_of_scope(result);
  }
  if (const Row* const row = find_row<Row>(kTransport, result.code)) {
    return *row;
  }
  return result.needs_person ? kWrongTransport : kNoTransport;
}

RefusalRow refusal_row_of(const PutResult& result) {
  if (is_about_headers(result)) {
    return kPartialHeaders;
  }
  if (const RefusalRow* const row = find_row<RefusalRow>(kRefusals, result.code)) {
    return *row;
  }
  return result.scope == Scope::credentials || result.scope == Scope::bucket ? kSomeServers
                                                                             : kSomeRefused;
}

/// What the store or the line said, as it was.
std::string said(const PutResult& result) {
  std::string text = result.code;
  if (result.http_status != 0) {
    text += fmt::format(", HTTP {}", result.http_status);
  }
  return result.detail.empty() ? fmt::format(" ({})", text)
                               : fmt::format(" ({}: {})", text, result.detail);
}

std::string filled(std::string_view text, const StatusNames& names, std::string_view prefix = {}) {
  return fmt::format(fmt::runtime(text), names.store, names.bucket,
                     fmt::format("arn:aws:s3:::{}/{}*", names.bucket, prefix));
}

}  // namespace

Cause cause_of(const StoreTrouble& trouble, const StatusNames& names) {
  const PutResult& result = trouble.last_failure;
  const Row row = row_of(result);
  return {std::string(row.id), std::string(row.headline), filled(row.cause, names) + said(result),
          filled(row.remedy, names)};
}

Cause cause_of(const Refusal& refusal, const StatusNames& names) {
  const RefusalRow row = refusal_row_of(refusal.cause);
  const std::string group = group_of(refusal);
  Cause cause{
      "objects_refused",
      words::count(refusal.messages, "picture", "pictures") + (group.empty() ? "" : " " + group) +
          (refusal.messages == 1 ? " is refused" : " are refused"),
      filled(row.cause, names) + said(refusal.cause), filled(row.remedy, names, refusal.prefix)};
  cause.remedy += refusal.cause.may_be_object_fault
                      ? " If the store goes on refusing one for DEAD_LETTER_AFTER, it becomes a "
                        "dead letter."
                      : " They leave by themselves once the store takes them.";
  return cause;
}

std::string answer_of(const PutResult& result) {
  constexpr std::string_view kStatus = "http_";
  return result.code.starts_with(kStatus) ? "HTTP " + result.code.substr(kStatus.size())
                                          : result.code;
}

std::string group_of(const Refusal& refusal) {
  switch (refusal.of) {
    case Refusal::Of::prefix:
      return "under " + refusal.prefix;
    case Refusal::Of::size:
      return refusal.from_bytes == 0
                 ? "below " + words::bytes(static_cast<double>(refusal.below_bytes))
                 : "of " + words::byte_range(refusal.from_bytes, refusal.below_bytes);
    case Refusal::Of::alone:
      break;
  }
  return {};
}

}  // namespace m2b
