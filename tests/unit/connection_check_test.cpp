#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "check/broker_check.hpp"
#include "check/reach.hpp"
#include "check/store_check.hpp"
#include "support/loopback.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("connection_check") {
  bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  TEST_CASE("the client id is one that no bridge has") {
    CHECK(check::check_client_id("plant-7", 0x2a) == "plant-7-check-0000002a");
    CHECK(check::check_client_id("", 0x2a) == "mqtt-to-blob-check-0000002a");
    CHECK(check::check_client_id(std::string(65'535 - 15, 'x'), 1).size() == 65'535);
    CHECK(check::check_client_id(std::string(65'535 - 14, 'x'), 1) ==
          "mqtt-to-blob-check-00000001");
  }

  TEST_CASE("a shared filter is tried in a group of the check's own") {
    const check::FilterTrial plain = check::filter_trial("ia/#", 1);
    CHECK(plain.filter == "ia/#");
    CHECK(plain.inner.empty());
    const check::FilterTrial shared = check::filter_trial("$share/plant/ia/+/x", 1);
    CHECK(shared.filter == "$share/mqtt-to-blob-check-00000001/ia/+/x");
    CHECK(shared.inner == "ia/+/x");
    CHECK(check::filter_trial("$share/plant//x", 1).inner == "/x");
  }

  // What the store's answers mean.

  StoreReply reply(int status, std::string_view code, Scope scope, std::string_view label = {}) {
    StoreReply made;
    made.result = refusal(scope, status, label.empty() ? code : label, code);
    made.s3_code = code;
    return made;
  }
  StoreReply success() {
    StoreReply made;
    made.result = stored_result();
    made.server = "MinIO";
    return made;
  }
  StoreReply no_key() { return reply(404, "NoSuchKey", Scope::ambiguous, "http_404"); }
  StoreReply denied() { return reply(403, "AccessDenied", Scope::ambiguous); }

  struct Read {
    std::vector<check::NamedFinding> findings;

    [[nodiscard]] const check::Finding& of(std::string_view name) const {
      for (const auto& [each, finding] : findings) {
        if (each == name) {
          return finding;
        }
      }
      FAIL("no finding of " << name);
      return findings.front().second;
    }
    [[nodiscard]] std::string failed_step() const {
      return findings.back().second.outcome == StepOutcome::failed
                 ? std::string(findings.back().first)
                 : "";
    }
  };

  Read read(StoreReply bucket, StoreReply object, std::optional<std::chrono::seconds> offset = 0s,
            bool writes = false) {
    StoreOptions options;
    options.region = "eu-north-1";
    const StatusNames names{.store = "store:9000", .bucket = "pictures"};
    return {check::read_replies({std::move(bucket), std::move(object), offset}, options, names,
                                writes, std::chrono::sys_days(2026y / 11 / 30))};
  }

  TEST_CASE("each refusal belongs to one step, and what is before it is well") {
    CHECK(read(success(), no_key()).failed_step().empty());
    CHECK(read(denied(), denied()).failed_step().empty());
    struct Row {
      StoreReply bucket;
      StoreReply object;
      std::string_view step;
    };
    const std::vector<Row> rows{
        {reply(0, "", Scope::path, "timeout"), {}, "store.answer"},
        {reply(200, "", Scope::path, "not_s3"), {}, "store.answer"},
        {reply(407, "", Scope::path, "http_407"), {}, "store.answer"},
        {reply(403, "", Scope::ambiguous, "http_403"), denied(), "store.answer"},
        {reply(503, "SlowDown", Scope::store), no_key(), "store.answer"},
        {success(), reply(503, "SlowDown", Scope::store), "store.answer"},
        {reply(403, "RequestTimeTooSkewed", Scope::store), denied(), "store.clock"},
        {reply(403, "InvalidAccessKeyId", Scope::credentials), denied(), "store.key"},
        {reply(403, "SignatureDoesNotMatch", Scope::credentials), denied(), "store.key"},
        {success(), reply(400, "AuthorizationHeaderMalformed", Scope::bucket), "store.region"},
        {reply(301, "PermanentRedirect", Scope::path), denied(), "store.region"},
        {reply(400, "InvalidBucketName", Scope::bucket), denied(), "store.bucket"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.bucket.result.code);
      const Read found = read(row.bucket, row.object);
      CHECK(found.failed_step() == row.step);
      CHECK_FALSE(found.findings.back().second.remedy.empty());
    }
  }

  TEST_CASE("a bucket is there, missing, or not to be asked for") {
    CHECK(read(success(), denied()).of("store.bucket").outcome == StepOutcome::ok);
    CHECK(read(denied(), no_key()).of("store.bucket").outcome == StepOutcome::ok);
    const StoreReply none = reply(404, "NoSuchBucket", Scope::bucket);
    CHECK(read(none, none).of("store.bucket").outcome == StepOutcome::warning);
    CHECK(read(none, none, 0s, true).of("store.bucket").outcome == StepOutcome::skipped);
    const check::Finding unknown = read(denied(), denied()).of("store.bucket");
    CHECK(unknown.outcome == StepOutcome::skipped);
    CHECK(contains(unknown.seen, "s3:GetBucketLocation"));
    CHECK(contains(unknown.remedy, "--write"));
  }

  TEST_CASE("a clock is told with both times") {
    CHECK(read(success(), denied(), 60s).of("store.clock").outcome == StepOutcome::ok);
    CHECK(read(success(), denied(), -60s).of("store.clock").outcome == StepOutcome::ok);
    CHECK(read(success(), denied(), std::nullopt).of("store.clock").outcome ==
          StepOutcome::skipped);
    const check::Finding off = read(success(), denied(), -24h).of("store.clock");
    CHECK(off.outcome == StepOutcome::warning);
    CHECK(contains(off.seen, "it is 2026-11-30 00:00:00 UTC here and 2026-11-29 00:00:00 UTC at"));
  }

  // TCP.

  TEST_CASE("every address is tried, and those that do not answer are named") {
    const test::LoopbackListener here;
    const std::uint16_t nowhere = test::free_port();
    std::vector<check::PeerAddress> addresses;
    for (const std::uint16_t port : {here.port, nowhere}) {
      std::vector<check::PeerAddress> one;
      CHECK(check::look_up({"127.0.0.1", port, "BROKER_URL", "BROKER_PORT"}, one).outcome ==
            StepOutcome::ok);
      REQUIRE(one.size() == 1);
      addresses.push_back(one.front());
    }
    const check::Peer peer{"127.0.0.1", here.port, "BROKER_URL", "BROKER_PORT"};
    const check::Finding both = check::connect_to_each(peer, addresses, 5s);
    CHECK(both.outcome == StepOutcome::warning);
    CHECK(both.seen == "connected to 127.0.0.1:" + std::to_string(here.port) +
                           ", but not to 127.0.0.1:" + std::to_string(nowhere) +
                           ": Connection refused");
    const check::Finding first = check::connect_to_each(peer, {addresses[0]}, 5s);
    CHECK(first.outcome == StepOutcome::ok);
    const check::Finding second = check::connect_to_each(peer, {addresses[1]}, 5s);
    CHECK(second.outcome == StepOutcome::failed);
    CHECK(contains(second.remedy, "correct BROKER_URL, BROKER_PORT"));
  }

  TEST_CASE("a name without an address fails with the setting") {
    std::vector<check::PeerAddress> addresses;
    const check::Finding none =
        check::look_up({"no-such.invalid", 1, "MINIO_URL", "MINIO_URL"}, addresses);
    CHECK(none.outcome == StepOutcome::failed);
    CHECK(contains(none.remedy, "MINIO_URL"));
    CHECK(addresses.empty());
  }
}

}  // namespace
