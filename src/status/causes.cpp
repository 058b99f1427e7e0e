#include "status/causes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace m2b {
namespace {

struct StoreRow {
  std::string_view code;  // of PutResult
  std::string_view id;
  std::string_view headline;
  std::string_view cause;   // {0}: store, {1}: bucket
  std::string_view remedy;  // likewise
};

constexpr std::string_view kRefusesKey = "Store refuses our key";
constexpr std::string_view kUnreachable = "Store unreachable";
constexpr std::string_view kMendKey =
    "Set MINIO_ACCESS_KEY and MINIO_SECRET_KEY to a pair that is valid at {0}.";
constexpr std::string_view kCheckStore =
    "See whether the store runs at {0}, and whether this machine reaches it (network, firewall, "
    "MINIO_URL). Uploads go on by themselves once it answers.";
constexpr std::string_view kSetClock =
    "Set this machine's clock and the store's, and let both follow a time server (NTP).";
constexpr std::string_view kMakeRoom =
    "Make room in the store: delete old objects, add disks, or raise the quota of the bucket {1}.";

constexpr std::array kStoreRows{
    StoreRow{"InvalidAccessKeyId", "store_refuses_key", kRefusesKey,
             "{0} does not know the access key that we use.", kMendKey},
    StoreRow{"SignatureDoesNotMatch", "store_refuses_key", kRefusesKey,
             "{0} knows our access key, but the secret key is not the one that belongs to it.",
             "Set MINIO_SECRET_KEY to the secret of this access key. If it is right, something "
             "between here and {0} changes our requests."},
    StoreRow{"AccessDenied", "store_refuses_key", "Store does not let us write",
             "{0} knows our key, but the key may not write to the bucket {1}.",
             "Give the key the right to put objects into the bucket {1}."},
    StoreRow{"ExpiredToken", "store_refuses_key", kRefusesKey, "Our key at {0} has expired.",
             kMendKey},
    StoreRow{"RequestTimeTooSkewed", "clock_wrong", "Store refuses our time",
             "{0} says that our clock differs from its own by more than 15 minutes.", kSetClock},
    StoreRow{"NoSuchBucket", "store_no_bucket", "Bucket missing",
             "{0} has no bucket {1}, and our key may not make it.",
             "Make the bucket {1}, or correct BUCKET_NAME."},
    StoreRow{"BucketAlreadyExists", "store_no_bucket", "Bucket belongs to somebody else",
             "At {0} the bucket {1} belongs to another account.",
             "Choose another BUCKET_NAME, or use a key of that account."},
    StoreRow{"AuthorizationHeaderMalformed", "store_refuses", "Store expects another region",
             "{0} is in another region than the one our requests are signed for.",
             "Set S3_REGION to the store's region."},
    StoreRow{"XMinioStorageFull", "store_full", "Store full", "The disks of {0} are full.",
             kMakeRoom},
    StoreRow{"QuotaExceeded", "store_full", "Store full", "The quota of the bucket {1} is used up.",
             kMakeRoom},
    StoreRow{"XMinioAdminBucketQuotaExceeded", "store_full", "Store full",
             "The quota of the bucket {1} is used up.", kMakeRoom},
    StoreRow{"could_not_connect", "store_unreachable", kUnreachable, "Nothing answers at {0}.",
             kCheckStore},
    StoreRow{"dns", "store_unreachable", kUnreachable,
             "The name of the store, {0}, cannot be resolved.",
             "See whether MINIO_URL is right and whether this machine has a name server."},
    StoreRow{"timeout", "store_unreachable", kUnreachable, "{0} does not answer in time.",
             kCheckStore},
    StoreRow{"connection_reset", "store_unreachable", kUnreachable, "Connections to {0} break off.",
             kCheckStore},
    StoreRow{"no_answer", "store_unreachable", kUnreachable,
             "{0} closes our connections without an answer.", kCheckStore},
    StoreRow{"cut_answer", "store_unreachable", kUnreachable,
             "Connections to {0} break off in the middle of an answer.", kCheckStore},
    StoreRow{"tls_handshake", "store_tls", "No TLS with the store",
             "{0} and we do not agree on a TLS connection; it may speak plain HTTP.",
             "If the store has no TLS, set MINIO_SECURE=False; otherwise see its log."},
    StoreRow{"not_http", "store_refuses", "That is not the store",
             "What answers at {0} does not speak S3.",
             "Correct MINIO_URL: the S3 port of MinIO is mostly 9000, its console is not it."},
    StoreRow{
        "not_s3", "store_refuses", "That is not the store",
        "What answers at {0} is no S3 store: a login page, a proxy, another server.",
        "Check MINIO_URL, and what stands between here and {0}. Nothing is sent there; uploads "
        "go on by themselves once the store answers."},
    StoreRow{"unproven", "store_refuses", "Store does not prove our uploads",
             "{0} says that it takes our objects, but nothing shows that it has them.",
             "Give the key the right to look at objects (s3:GetObject), and check that no cache or "
             "proxy answers in place of {0}."},
};

struct Prefix {
  std::string_view begin;
  StoreRow row;
};
/// For codes that come in several.
constexpr std::array kStorePrefixes{
    Prefix{"tls_",
           {"", "store_tls", "Store's certificate not accepted",
            "The TLS connection to {0} was given up: we cannot be sure that it is the store.",
            "Give the store a valid certificate for this name from an authority that this "
            "machine trusts."}},
    Prefix{"SlowDown",
           {"", "store_busy", "Store busy", "{0} asks us to slow down.",
            "Nothing, if this passes; otherwise the store needs more power."}},
    Prefix{"http_5",
           {"", "store_busy", "Store out of order",
            "{0}, or a proxy before it, answers with an error of its own.",
            "See the log of the store. Uploads go on by themselves once it is well."}},
};

const StoreRow* find_row(std::string_view code) {
  const auto* const row = std::ranges::find(kStoreRows, code, &StoreRow::code);
  if (row != kStoreRows.end()) {
    return row;
  }
  const auto* const prefix = std::ranges::find_if(
      kStorePrefixes, [code](const Prefix& each) { return code.starts_with(each.begin); });
  return prefix != kStorePrefixes.end() ? &prefix->row : nullptr;
}

constexpr StoreRow kAway{"", "store_unreachable", kUnreachable, "{0} cannot take objects now.",
                         kCheckStore};
constexpr StoreRow kHeld{
    "", "store_refuses", "Store refuses us",
    "{0} refuses our uploads for a reason that will not pass by itself.",
    "See what the store says, and check MINIO_URL, the keys and the bucket {1}."};

std::string filled(std::string_view text, const StatusNames& names) {
  return fmt::format(fmt::runtime(text), names.store, names.bucket);
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

}  // namespace

Cause cause_of(const StoreTrouble& trouble, const StatusNames& names) {
  const PutResult& result = trouble.last_failure;
  const StoreRow* row = find_row(result.code);
  if (row == nullptr) {
    row = result.outcome == PutOutcome::hold ? &kHeld : &kAway;
  }
  return {std::string(row->id), std::string(row->headline),
          filled(row->cause, names) + said(result), filled(row->remedy, names)};
}

Cause cause_of(const BrokerTrouble& trouble, const StatusNames& names) {
  using Kind = BrokerTrouble::Kind;
  const std::string said = fmt::format(" ({})", trouble.meaning);
  const bool is_login = trouble.meaning.find("password") != std::string::npos ||
                        trouble.meaning.find("not authorised") != std::string::npos;
  switch (trouble.kind) {
    case Kind::no_answer:
      if (trouble.needs_a_person) {
        return {"broker_unreachable", "No connection to the broker",
                names.broker + " cannot be reached as it is set up." + said,
                "This will not pass by itself: what mends it stands in the brackets. The settings "
                "are BROKER_URL, BROKER_PORT and those that begin with MQTT_."};
      }
      break;
    case Kind::refused:
      if (is_login) {
        return {"broker_refuses_login", "Broker refuses our login",
                names.broker + " does not accept our user name and password." + said,
                "Set MQTT_USERNAME and MQTT_PASSWORD to what the broker expects."};
      }
      return {"broker_refuses", "Broker refuses us",
              names.broker + " refuses our connection." + said,
              trouble.needs_a_person ? "See what the broker says, and its log; then correct the "
                                       "MQTT settings here or there."
                                     : "Nothing, if this passes; otherwise see the broker's log."};
    case Kind::lost:
      if (trouble.needs_a_person) {
        return {"broker_ended", "Broker ended our session", names.broker + " ended it." + said,
                "If two bridges use one MQTT_CLIENT_ID, give each its own. Otherwise see the "
                "broker's log."};
      }
      break;
    case Kind::not_subscribed:
      return {"broker_refuses_subscription", "Broker does not give us the topics",
              names.broker + " has not granted our subscription." + said,
              "Let our user read the topics (the broker's access rules), or correct TOPIC."};
  }
  return {"broker_unreachable", "Broker unreachable",
          "There is no connection to " + names.broker + "." + said,
          "See whether the broker runs, and whether this machine reaches it (network, firewall, "
          "BROKER_URL, BROKER_PORT). Cameras that publish at QoS 1 keep trying; what the broker "
          "holds for us comes once it is back."};
}

Cause cause_of_silence(const StatusNames& names) {
  return {"broker_silent", "Nothing heard from the broker",
          "The connection to " + names.broker +
              " is open, but for one and a half intervals of MQTT_KEEPALIVE nothing has come over "
              "it, nor an answer to our ping.",
          "See whether the broker hangs, and whether the network to it passes anything. The "
          "connection is made anew by itself; what the broker holds for us comes then."};
}

Cause cause_of(Intake intake, const StatusNames& names, bool waits) {
  const std::string later =
      " Until then the broker keeps new pictures, as long as its own queue and disk allow.";
  const std::string make_room =
      (waits ? "Make room on that disk." : "Make room on that disk: no pictures fill it.") + later;
  switch (intake) {
    case Intake::open:
      break;
    case Intake::at_cap:
      return {"queue_full", "Queue full", "The queue has reached SPOOL_MAX_BYTES.",
              "If pictures should wait longer than that, raise SPOOL_MAX_BYTES, as far as the disk "
              "has room." +
                  later};
    case Intake::at_floor:
      return {"disk_full", "Disk full",
              "The disk of " + names.spool + " has no more than SPOOL_MIN_FREE_BYTES left.",
              make_room};
    case Intake::disk_full:
      return {"disk_full", "Disk full", "The disk of " + names.spool + " has no room at all.",
              make_room};
    case Intake::disk_error:
      return {"disk_error", "Disk out of order", "Writing to " + names.spool + " fails.",
              "See the log here and of the system (dmesg), and replace the disk if it is broken. "
              "Keep the folder: what is in it is not lost." +
                  later};
    case Intake::no_memory:
      return {
          "no_memory", "Memory limit",
          "The process gets no memory or address space for the queue in " + names.spool +
              "; the disk is not the cause.",
          "Raise the limit of memory or address space (ulimit -v, LimitAS of systemd, memory of "
          "the container), or set a lower SPOOL_MAX_BYTES." +
              later};
  }
  return {};
}

}  // namespace m2b
