#include "check/store_check.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <variant>

#include <fmt/format.h>

#include "check/reach.hpp"
#include "m2b/tls/connect_probe.hpp"
#include "m2b/upload/store_proxy.hpp"
#include "m2b/util/host.hpp"
#include "status/store_failure_messages.hpp"
#include "status/words.hpp"

namespace m2b::check {
namespace {

using std::chrono::seconds;

constexpr std::string_view kProxy = "store.proxy";
constexpr std::string_view kStoreName = "store.name";
constexpr std::string_view kStoreTcp = "store.tcp";
constexpr std::string_view kStoreTls = "store.tls";
constexpr std::string_view kAnswer = "store.answer";
constexpr std::string_view kClock = "store.clock";
constexpr std::string_view kKey = "store.key";
constexpr std::string_view kRegion = "store.region";
constexpr std::string_view kBucket = "store.bucket";
constexpr std::string_view kWrite = "store.write";
constexpr std::string_view kRead = "store.read";
constexpr std::string_view kRemove = "store.remove";

constexpr seconds kLookUpLimit{6};
constexpr seconds kPatience{4};        // to connect, and for a transfer that stalls
constexpr seconds kReachLimit{10};     // of name, connection and handshake
constexpr seconds kRequestsLimit{14};  // of some requests

constexpr std::string_view kDenied = "AccessDenied";
constexpr std::string_view kNoBucket = "NoSuchBucket";
constexpr std::string_view kNoKey = "NoSuchKey";

/// The step that a refusal belongs to; empty where the store understood us and said no more than
/// that the key may not do this, or that there is no such object.
std::string_view step_of(const StoreReply& reply) {
  const PutResult& result = reply.result;
  if (result.outcome != PutOutcome::refused) {
    return {};
  }
  constexpr std::array<std::string_view, 6> kAboutRegion{"AuthorizationHeaderMalformed",
                                                         "IllegalLocationConstraintException",
                                                         "InvalidLocationConstraint",
                                                         "InvalidRegion",
                                                         "PermanentRedirect",
                                                         "TemporaryRedirect"};
  if (std::ranges::find(kAboutRegion, reply.s3_code) != kAboutRegion.end()) {
    return kRegion;
  }
  if (reply.s3_code == "RequestTimeTooSkewed") {
    return kClock;
  }
  if (result.http_status == 0 || result.scope == Scope::path || reply.s3_code.empty()) {
    return kAnswer;
  }
  if (result.scope == Scope::credentials) {
    return kKey;
  }
  if (reply.s3_code == kDenied || reply.s3_code == kNoKey || reply.s3_code == kNoBucket) {
    return {};
  }
  return result.scope == Scope::bucket ? kBucket : kAnswer;
}

Finding failed_with(const PutResult& result, const StatusNames& names) {
  const Cause cause = cause_of(StoreTrouble{result, {}}, names);
  return failed(cause.cause, cause.remedy);
}

Finding read_clock(std::optional<seconds> offset, std::chrono::sys_seconds now) {
  if (!offset) {
    return skipped("the store does not tell its time");
  }
  const std::string difference = words::duration(std::chrono::abs(*offset));
  if (std::chrono::abs(*offset) <= ClockOffset::kSame) {
    return ok(fmt::format("the clocks differ by {}", difference));
  }
  return warning(
      fmt::format("the clocks differ by {}: it is {} here and {} at the store", difference,
                  words::time(now), words::time(now + *offset)),
      "Set the clock that is wrong, and let both machines follow a time server (NTP). The bridge "
      "signs its requests with the store's time, but certificates and logs need the right one.");
}

Finding read_bucket(const StoreReplies& replies, const StatusNames& names, bool writes) {
  const StoreReply& asked = replies.bucket;
  if (asked.result.outcome == PutOutcome::stored || replies.object.s3_code == kNoKey) {
    return ok(fmt::format("the bucket {} is there", names.bucket));
  }
  if (asked.s3_code == kNoBucket || replies.object.s3_code == kNoBucket) {
    const std::string seen = fmt::format("the bucket {} does not exist", names.bucket);
    return writes ? skipped(seen + "; store.write makes it, as the bridge would")
                  : warning(seen + ": the bridge makes it if the key may (s3:CreateBucket)",
                            fmt::format("Correct BUCKET_NAME, or make the bucket {}; --write tries "
                                        "to make it.",
                                        names.bucket));
  }
  return skipped(
      fmt::format("the key may not ask for the bucket {} (s3:GetBucketLocation), which is no fault",
                  names.bucket),
      writes ? "" : "Whether it exists and may be written to shows with --write.");
}

ObjectKey probe_key() {
  std::random_device random;
  const std::string name = fmt::format("{:08x}{:08x}", random(), random());
  return std::get<ObjectKey>(ObjectKey::from_parts(kProbePrefix, name));
}

Object probe_object() {
  // The metadata's name has an underscore, as that of pictures: some proxies drop such headers.
  return {.key = probe_key(),
          .body = "Written by mqtt-to-blob --check --connect --write; may be removed.\n",
          .content_type = "text/plain",
          .metadata = {{"image_id", "mqtt-to-blob-check"}}};
}

/// Whether the object may be in the store although it is not said to be.
bool may_be_written(const PutResult& result) {
  return result.outcome == PutOutcome::stored || result.code == "unproven" ||
         (result.http_status == 0 && !result.is_unsent);
}

StoreOptions impatient(StoreOptions options) {
  options.connect_timeout = std::min<std::chrono::milliseconds>(options.connect_timeout, kPatience);
  options.stall_timeout = std::min(options.stall_timeout, kPatience);
  return options;
}

class StoreCheck {
 public:
  StoreCheck(Lane& lane, const StoreOptions& options, const StatusNames& names, bool writes,
             const std::stop_token& stop)
      : lane_(lane),
        names_(names),
        writes_(writes),
        stop_(stop),
        options_(impatient(options)),
        context_(options_),
        store_(context_),
        object_(probe_object()) {}

  void run() {
    if (!reach()) {
      return;
    }
    StoreReplies replies;
    const bool is_answered =
        lane_.run(kAnswer, kRequestsLimit, [&] { return ask(replies); }) && tell(replies);
    if (!is_answered) {
      return;
    }
    if (writes_) {
      write();
      return;
    }
    lane_.add(kWrite, skipped("not tried, so whether the key may write is not known",
                              fmt::format("--write puts an object under {}, reads it and removes "
                                          "it.",
                                          kProbePrefix)));
  }

 private:
  /// Where a proxy stands between, the way to the store is the proxy's.
  [[nodiscard]] bool reach() {
    std::optional<StoreProxy> proxy;
    std::vector<PeerAddress> addresses;
    if (!lane_.run(kProxy, kReachLimit, [&] {
          proxy = find_store_proxy(context_);
          return reach_proxy(proxy);
        })) {
      return false;
    }
    if (proxy) {
      for (const std::string_view name : {kStoreName, kStoreTcp}) {
        lane_.add(name, skipped("the proxy does that"));
      }
      if (options_.secure) {
        lane_.add(kStoreTls, skipped("through the proxy: see store.answer"));
      }
      return true;
    }
    const Peer peer{options_.host, options_.port, "MINIO_URL", "MINIO_URL"};
    const bool is_reached =
        lane_.run(kStoreName, kLookUpLimit, [&] { return look_up(peer, addresses); }) &&
        lane_.run(kStoreTcp, kReachLimit,
                  [&] { return connect_to_each(peer, addresses, kPatience); });
    return is_reached && (!options_.secure ||
                          lane_.run(kStoreTls, kReachLimit, [this] { return shake_hands(); }));
  }

  [[nodiscard]] static Finding reach_proxy(const std::optional<StoreProxy>& proxy) {
    if (!proxy) {
      return ok("none is used");
    }
    if (proxy->host.empty()) {
      return failed(fmt::format("{} names no proxy that can be used", proxy->variable),
                    fmt::format("Write it as http://host:port, unset {}, or name the store in "
                                "no_proxy.",
                                proxy->variable));
    }
    const Peer peer{proxy->host, proxy->port, proxy->variable, proxy->variable};
    std::vector<PeerAddress> addresses;
    Finding finding = look_up(peer, addresses);
    if (finding.outcome == StepOutcome::ok) {
      finding = connect_to_each(peer, addresses, kPatience);
    }
    finding.seen =
        fmt::format("requests go through the proxy {}:{} ({}{}): {}", proxy->host, proxy->port,
                    proxy->variable, proxy->has_login ? ", with login" : "", finding.seen);
    if (finding.outcome == StepOutcome::failed) {
      finding.remedy += " Or name the store in no_proxy.";
    }
    return finding;
  }

  [[nodiscard]] ProbeTarget target() const {
    return {options_.host, options_.port, &options_.tls, "MINIO_URL"};
  }

  [[nodiscard]] Finding shake_hands() const {
    const auto fault = find_connect_fault(target(), kPatience, stop_);
    if (!fault) {
      return ok(fmt::format(
          "encrypted, and the certificate is verified for {}",
          options_.tls.server_name.empty() ? bare_host(options_.host) : options_.tls.server_name));
    }
    if (speaks_tls(target(), kPatience, stop_)) {
      return failed(fault->text,
                    "Correct what the message names: the store's certificate, or the settings "
                    "STORE_CA_FILE, STORE_SERVER_NAME, STORE_CERT_FILE, STORE_KEY_FILE.");
    }
    return failed(fault->text,
                  "Set MINIO_SECURE=False if the store has no TLS, or MINIO_URL to its port with "
                  "TLS.");
  }

  /// Both requests are signed for the bucket's region; some stores look at the region only where
  /// it is about an object.
  [[nodiscard]] Finding ask(StoreReplies& replies) {
    replies.bucket = store_.check_bucket(stop_);
    if (step_of(replies.bucket) != kAnswer) {
      replies.object = store_.read(object_.key, stop_);
    }
    replies.clock_offset = context_.clock_offset.seen();
    const PutResult& result = replies.bucket.result;
    if (result.outcome == PutOutcome::stopped) {
      return skipped("interrupted");
    }
    Finding finding = read_replies(replies, options_, names_, writes_, now()).front().second;
    // A TLS port gives plain HTTP no answer, or this one.
    constexpr int kBadRequest = 400;
    const bool may_be_tls = result.http_status == 0 || result.http_status == kBadRequest;
    if (finding.outcome == StepOutcome::failed && !options_.secure && may_be_tls &&
        speaks_tls(target(), kPatience, stop_)) {
      finding.seen =
          fmt::format("port {} speaks TLS, and MINIO_SECURE=False asks for none", options_.port);
      finding.remedy = "Set MINIO_SECURE=True, or MINIO_URL to the port without TLS.";
    }
    return finding;
  }

  /// The findings behind the first. False where one failed.
  [[nodiscard]] bool tell(const StoreReplies& replies) {
    std::vector<NamedFinding> findings = read_replies(replies, options_, names_, writes_, now());
    bool is_well = true;
    for (auto& [name, finding] : findings) {
      is_well = is_well && finding.outcome != StepOutcome::failed;
      if (name != kAnswer) {
        lane_.add(name, std::move(finding));
      }
    }
    return is_well && !stop_.stop_requested();
  }

  void write() {
    PutResult put;
    const bool is_written = lane_.run(kWrite, kRequestsLimit, [&] {
      put = store_.put(object_, stop_);
      return put.outcome == PutOutcome::stored ? ok(fmt::format("the object {} is in the bucket {}",
                                                                object_.key.str(), names_.bucket))
             : put.outcome == PutOutcome::stopped ? skipped("interrupted")
                                                  : failed_with(put, names_);
    });
    if (is_written && put.outcome == PutOutcome::stored) {
      lane_.run(kRead, kRequestsLimit, [this] { return read_back(); });
    }
    if (may_be_written(put)) {
      // Also after an interrupt, or too late: nothing is to stay.
      Finding removed = remove();
      lane_.add(kRemove, std::move(removed));
    }
  }

  [[nodiscard]] Finding read_back() {
    const StoreReply reply = store_.read(object_.key, stop_);
    if (reply.result.outcome == PutOutcome::stopped) {
      return skipped("interrupted");
    }
    if (reply.s3_code == kDenied) {
      return skipped(
          "the key may not read objects (s3:GetObject), which is no fault: this store "
          "proves uploads otherwise");
    }
    if (reply.result.outcome != PutOutcome::stored) {
      return failed_with(reply.result, names_);
    }
    return reply.body == object_.body
               ? ok("what was read is what was written")
               : failed("what was read is not what was written",
                        "Find what answers in place of the store, or changes bodies on the way: a "
                        "proxy, a cache, a filter.");
  }

  [[nodiscard]] Finding remove() {
    const StoreReply reply = store_.remove(object_.key, {});
    if (reply.result.outcome == PutOutcome::stored) {
      return ok(fmt::format("{} is removed", object_.key.str()));
    }
    const std::string stays =
        fmt::format("{} stays in the bucket {}", object_.key.str(), names_.bucket);
    if (reply.s3_code == kDenied) {
      return skipped(
          "the key may not remove objects (s3:DeleteObject), which is no fault: " + stays,
          "Remove it with another key.");
    }
    return warning(fmt::format("{}: {}", stays, failed_with(reply.result, names_).seen),
                   "Remove it by hand.");
  }

  [[nodiscard]] static std::chrono::sys_seconds now() {
    return std::chrono::floor<seconds>(std::chrono::system_clock::now());
  }

  Lane& lane_;
  const StatusNames& names_;
  const bool writes_;
  const std::stop_token& stop_;
  const StoreOptions options_;
  StoreContext context_;
  S3Store store_;
  const Object object_;
};

}  // namespace

std::vector<NamedFinding> read_replies(const StoreReplies& replies, const StoreOptions& options,
                                       const StatusNames& names, bool writes,
                                       std::chrono::sys_seconds now) {
  const std::string server =
      replies.bucket.server.empty() ? "" : fmt::format(" (Server: {})", replies.bucket.server);
  const std::array<NamedFinding, 5> all{
      NamedFinding{kAnswer, ok("an S3 store answers" + server)},
      NamedFinding{kClock, read_clock(replies.clock_offset, now)},
      NamedFinding{kKey, ok("the store takes the access key and the signature")},
      NamedFinding{kRegion,
                   ok(fmt::format("the store takes requests signed for {}", options.region))},
      NamedFinding{kBucket, read_bucket(replies, names, writes)}};
  std::vector<NamedFinding> findings;
  for (const NamedFinding& each : all) {
    for (const StoreReply* const reply : {&replies.bucket, &replies.object}) {
      if (step_of(*reply) == each.first) {
        findings.emplace_back(each.first, failed_with(reply->result, names));
        return findings;
      }
    }
    findings.push_back(each);
  }
  return findings;
}

std::vector<std::string_view> store_steps(const StoreOptions& options) {
  std::vector<std::string_view> steps{kProxy, kStoreName, kStoreTcp};
  if (options.secure) {
    steps.push_back(kStoreTls);
  }
  steps.insert(steps.end(), {kAnswer, kClock, kKey, kRegion, kBucket, kWrite});
  return steps;
}

void check_store(Lane& lane, const StoreOptions& options, const StatusNames& names, bool writes,
                 const std::stop_token& stop) {
  StoreCheck(lane, options, names, writes, stop).run();
}

}  // namespace m2b::check
