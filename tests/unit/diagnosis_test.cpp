#include "status/diagnosis.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "status/warning_ids.hpp"
#include "support/status_snapshots.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using test::add_letter;
using test::let_broker_fail;
using test::let_some_be_refused;
using test::let_store_fail;
using test::let_wait;
using test::well;

TEST_SUITE("diagnosis") {
  /// As if nothing comes and goes.
  const Trends kStill{.now = {.over = 10s}, .longer = {.over = 120s}};

  Diagnosis diagnosis(const StatusSnapshot& snapshot, const Trends& trends = kStill) {
    Diagnosis found = diagnose(snapshot, trends);
    for (const Warning& warning : found.warnings) {
      CAPTURE(warning.id);
      CHECK(std::ranges::find(kWarningIds, warning.id) != kWarningIds.end());
    }
    CHECK(found.is_ready() == (found.state != Health::trouble && !found.starting));
    return found;
  }
  std::string sentence(const StatusSnapshot& snapshot, const Trends& trends = kStill) {
    return diagnosis(snapshot, trends).sentence;
  }
  /// The warning of that id; an empty one if there is none.
  Warning warning(const Diagnosis& diagnosis, const std::string& id) {
    const auto found = std::ranges::find(diagnosis.warnings, id, &Warning::id);
    CAPTURE(id);
    REQUIRE(found != diagnosis.warnings.end());
    CHECK_FALSE(found->title.empty());
    CHECK_FALSE(found->cause.empty());
    CHECK_FALSE(found->remedy.empty());
    return *found;
  }
  bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  /// As the store client tells it.
  PutResult answered(int status, const std::string& code, const std::string& detail = "") {
    PutResult result = classify_answer(status, code.starts_with("http_") ? "" : code);
    result.http_status = status;
    result.code = code;
    result.detail = detail;
    return result;
  }
  const PutResult kNoConnection =
      refusal(Scope::path, 0, "could_not_connect", "Connection refused");

  TEST_CASE("a key that is missing is named, with what it holds up") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 12);
    snapshot.queue.missing_key = KeyId{0x9f1af927};
    CHECK(diagnosis(snapshot).state == Health::trouble);
    CHECK(sentence(snapshot).starts_with("A key of the queue is missing; 12 pictures"));
    CHECK(contains(warning(diagnosis(snapshot), "key_missing").cause, "9f1af927"));
  }

  TEST_CASE("all is well") {
    StatusSnapshot snapshot = well();
    CHECK(diagnosis(snapshot).state == Health::well);
    CHECK(diagnosis(snapshot).warnings.empty());
    CHECK(sentence(snapshot) == "All is well: every picture that came is in the bucket.");
    Trends flowing = kStill;
    flowing.now.in = 4;
    CHECK(sentence(snapshot, flowing) == "All is well: every picture that came is in the bucket.");
    flowing.now.out = 4;
    CHECK(sentence(snapshot, flowing) == "All is well: pictures come and go at once.");
    snapshot.queue.totals = {};
    CHECK(sentence(snapshot) == "All is well: no picture has come yet.");
    snapshot.store.state = StoreState::unknown;
    CHECK(sentence(snapshot) == "Ready for pictures; the store has not answered yet.");
  }

  TEST_CASE("all is well only where there is evidence of it") {
    const auto claims = [](const StatusSnapshot& snapshot, const Trends& trends = kStill) {
      return sentence(snapshot, trends).find("All is well") != std::string::npos;
    };
    Trends flowing = kStill;
    flowing.now.out = 4;
    StatusSnapshot snapshot = well();
    REQUIRE(claims(snapshot));

    SUBCASE("the store has never answered, whether or not something waits") {
      snapshot.store.state = StoreState::unknown;
      CHECK_FALSE(claims(snapshot));
      let_wait(snapshot, 2);
      CHECK(sentence(snapshot) == "2 pictures (900 kB) wait; the store has not answered yet.");
    }
    SUBCASE("the store has not confirmed what was sent to it") {
      let_wait(snapshot, 1);
      CHECK(sentence(snapshot) == "1 picture is on the way to the store.");
      CHECK(claims(snapshot, flowing));
      snapshot.queue.oldest_age = 40s;
      CHECK(sentence(snapshot) ==
            "No picture was stored lately; 1 picture (450 kB) is on its way.");
      CHECK(sentence(snapshot, flowing) ==
            "Pictures get through; 1 picture (450 kB) is on its way.");
    }
    SUBCASE("a group of pictures is refused") {
      let_some_be_refused(snapshot, {.messages = 3, .cause = answered(403, "AccessDenied")});
      CHECK_FALSE(claims(snapshot, flowing));
    }
    SUBCASE("something keeps starting again") {
      Trends unsteady = kStill;
      unsteady.connections_lost = 5;
      CHECK_FALSE(claims(snapshot, unsteady));
      unsteady = kStill;
      unsteady.store_outages = 4;
      CHECK(claims(snapshot, unsteady));
      unsteady.store_outages = 5;
      CHECK_FALSE(claims(snapshot, unsteady));
      CHECK(diagnosis(snapshot, unsteady).state == Health::attention);
      CHECK(contains(warning(diagnosis(snapshot, unsteady), "store_unsteady").cause, "5 times"));
    }
    SUBCASE("not every message is in the bucket") {
      snapshot.queue.totals.stored = 98;
      snapshot.queue.totals.dropped = 2;
      CHECK(sentence(snapshot) == "All is well: no picture waits.");
    }
    SUBCASE("the broker is not heard, not connected, or has not granted everything") {
      snapshot.broker.silent_since = snapshot.at - 95s;
      CHECK_FALSE(claims(snapshot));
      snapshot.broker = {.connected = true};
      CHECK_FALSE(claims(snapshot));
      snapshot.broker = {};
      CHECK_FALSE(claims(snapshot));
    }
    SUBCASE("the room on the disk is unknown") {
      snapshot.queue.room.reset();
      CHECK_FALSE(claims(snapshot));
    }
  }

  TEST_CASE("a bridge that has received nothing for long says so, and on which filters") {
    StatusSnapshot snapshot = well();
    snapshot.broker.last_message_at = snapshot.at - 9min;
    CHECK(sentence(snapshot) == "All is well: every picture that came is in the bucket.");
    snapshot.broker.last_message_at = snapshot.at - 3h;
    CHECK(sentence(snapshot) ==
          "All is well: every picture that came is in the bucket; no message has come for 3 h "
          "(ia/#).");
    CHECK(diagnosis(snapshot).state == Health::well);
    snapshot.broker.last_message_at.reset();
    snapshot.queue.totals = {};
    snapshot.names.topics = {"a/#", "b/#", "c/#", "d/#", "e/#"};
    CHECK(sentence(snapshot) ==
          "All is well: no picture has come yet; no message has come since the start 1 h ago "
          "(a/#, b/#, c/# and 2 more).");
  }

  TEST_CASE("a queue whose disk is in doubt is not called safe") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 100);
    snapshot.queue.intake = Intake::disk_error;
    CHECK(contains(sentence(snapshot), "100 pictures (45 MB) are in the queue"));
  }

  TEST_CASE("a broker that we do not read from is not called silent") {
    StatusSnapshot snapshot = well();
    snapshot.broker.silent_since = snapshot.at - 95s;
    SUBCASE("because the queue is full") { snapshot.queue.intake = Intake::at_cap; }
    SUBCASE("because a write to the disk does not end") {
      snapshot.stuck_threads = {{"spool-writer", 95s}};
    }
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.warnings.size() == 1);
    CHECK_FALSE(found.warns_of("broker_silent"));
  }

  TEST_CASE("a broker that has not answered SUBSCRIBE is not called unreachable") {
    StatusSnapshot snapshot = well();
    snapshot.broker.subscribed = false;
    CHECK(sentence(snapshot).starts_with("Broker has not answered our SUBSCRIBE for 1 h"));
    CHECK(contains(warning(diagnosis(snapshot), "subscribe_unanswered").cause, "SUBACK"));
  }

  TEST_CASE("a thread that is stuck is named") {
    StatusSnapshot snapshot = well();
    snapshot.stuck_threads = {{"decoder-1", 40s}, {"dispatcher", 31s}};
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.sentence ==
          "Thread decoder-1, dispatcher have not answered for 40 s; nothing waits in the queue.");
    CHECK(contains(warning(found, "thread_stuck").remedy, "Restart"));
    snapshot.stuck_threads = {{"spool-writer", 40s}};
    CHECK(contains(warning(diagnosis(snapshot), "thread_stuck").cause, "A write to /spool"));
    CHECK(diagnosis(snapshot).queue == Health::trouble);
  }

  TEST_CASE("one picture that waits for ever among others that flow") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 1);
    Trends flowing = kStill;
    flowing.now.out = 4;
    flowing.oldest_unchanged_for = 9min;
    CHECK(diagnosis(snapshot, flowing).state == Health::well);
    flowing.oldest_unchanged_for = 10min;
    const Diagnosis found = diagnosis(snapshot, flowing);
    CHECK(found.state == Health::attention);
    CHECK(found.sentence ==
          "Pictures come and go at once; but the oldest picture has waited for 10 min while others "
          "are stored.");
    CHECK(contains(warning(found, "oldest_waits").remedy, "spool ls"));
    let_store_fail(snapshot, kNoConnection);
    CHECK_FALSE(diagnosis(snapshot, flowing).warns_of("oldest_waits"));
  }

  TEST_CASE("the plain text has the sentence, and each warning with its remedy") {
    CHECK(plain_text(diagnosis(well())) ==
          "All is well: every picture that came is in the bucket.\n");
    StatusSnapshot snapshot = well();
    snapshot.queue.files_set_aside = 1;
    let_broker_fail(snapshot, {.meaning = "no answer\nfrom the broker"});
    const std::string text = plain_text(diagnosis(snapshot));
    CHECK(text.starts_with(
        "Broker unreachable for 3 min; nothing waits in the queue.\n"
        "trouble: Broker unreachable for 3 min. There is no connection to broker"));
    CHECK(contains(text, "\nattention: 1 damaged file was set aside. The disk of /spool damages"));
    CHECK(contains(text, " Replace the disk."));
    CHECK(std::ranges::count(text, '\n') == 3);
  }

  TEST_CASE("a backlog that leaves is well, and ends some time") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 4200);
    Trends draining = kStill;
    draining.longer.backlog = -10;
    CHECK(diagnosis(snapshot, draining).state == Health::well);
    CHECK(sentence(snapshot, draining) ==
          "Pictures get through; 4,200 pictures (1.9 GB) are leaving the queue, which is empty in "
          "7 min.");
    CHECK(diagnosis(snapshot, draining).empty_in == 420s);
  }

  TEST_CASE("store down: since when, what is safe, and until when") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 4211);
    let_store_fail(snapshot, kNoConnection);
    Trends filling = kStill;
    filling.longer.used_bytes = 1e9 / (190 * 60);
    const Diagnosis found = diagnosis(snapshot, filling);
    CHECK(found.state == Health::trouble);
    CHECK(found.store == Health::trouble);
    CHECK(found.upload == Health::trouble);
    CHECK(found.broker == Health::well);
    CHECK(found.sentence ==
          "Store unreachable for 12 min; 4,211 pictures (1.9 GB) are safe in the queue; at the "
          "present rate the queue is full in 3 h 10 min.");
    const Warning told = warning(found, "store_unreachable");
    CHECK(contains(told.cause, "Nothing answers at minio.lan:9000"));
    CHECK(contains(told.cause, "could_not_connect: Connection refused"));
    CHECK(contains(told.remedy, "MINIO_URL"));
  }

  TEST_CASE("nothing is foretold from a moment, nor what is years away") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 10);
    let_store_fail(snapshot, kNoConnection);
    Trends filling{.now = {}, .longer = {.over = 5s, .used_bytes = 1e6}};
    CHECK_FALSE(diagnosis(snapshot, filling).full_in);
    filling.longer = {.over = 60s, .used_bytes = 1};
    CHECK_FALSE(diagnosis(snapshot, filling).full_in);
  }

  TEST_CASE("a wrong key is told apart: which of the two, and where to set it") {
    StatusSnapshot snapshot = well();
    let_store_fail(snapshot, answered(403, "InvalidAccessKeyId"));
    CHECK(sentence(snapshot).starts_with("Store refuses our key for 12 min; nothing waits"));
    Warning told = warning(diagnosis(snapshot), "store_refuses_key");
    CHECK(contains(told.cause, "does not know the access key"));
    CHECK(contains(told.remedy, "MINIO_ACCESS_KEY"));
    let_store_fail(snapshot, answered(403, "SignatureDoesNotMatch"));
    told = warning(diagnosis(snapshot), "store_refuses_key");
    CHECK(contains(told.cause, "the secret key is not the one"));
    CHECK(contains(told.remedy, "MINIO_SECRET_KEY"));
    let_store_fail(snapshot, answered(403, "AccessDenied"));
    CHECK(contains(warning(diagnosis(snapshot), "store_refuses_key").remedy, "bucket pictures"));
  }

  /// A refusal on the way to the store that somebody has to change.
  PutResult wrong_path(int status, const std::string& code, const std::string& detail = "") {
    PutResult result = refusal(Scope::path, status, code, detail);
    result.needs_person = true;
    return result;
  }

  TEST_CASE("whatever the store says has a cause and a remedy") {
    const std::pair<PutResult, std::string> cases[]{
        {answered(507, "XMinioStorageFull"), "store_full"},
        {answered(507, "http_507"), "store_full"},
        {answered(400, "QuotaExceeded"), "store_full"},
        {answered(503, "SlowDownWrite"), "store_busy"},
        {answered(502, "http_502", "<h1>Bad Gateway</h1>"), "store_busy"},
        {answered(500, "InternalError"), "store_busy"},
        {answered(400, "IncompleteBody"), "store_busy"},
        {answered(429, "http_429"), "store_busy"},
        {answered(404, "XAdminUserNotFound"), "store_refuses_key"},
        {answered(401, "http_401"), "store_refuses_key"},
        {answered(404, "NoSuchBucket"), "store_no_bucket"},
        {refusal(Scope::bucket, 403, "AccessDenied", "cannot be created"), "store_no_bucket"},
        {answered(400, "InvalidBucketName"), "store_refuses"},
        {answered(302, "http_302"), "store_refuses"},
        {answered(403, "http_403"), "store_refuses"},
        {answered(404, "http_404"), "store_refuses"},
        {answered(413, "http_413"), "store_refuses"},
        {answered(418, "http_418"), "store_refuses"},
        {answered(501, "NotImplemented"), "store_refuses"},
        {answered(501, "http_501"), "store_refuses"},
        {answered(511, "http_511"), "store_refuses"},
        {wrong_path(200, "not_s3"), "store_refuses"},
        {refusal(Scope::ambiguous, 200, "unproven"), "store_refuses"},
        {wrong_path(0, "not_http"), "store_refuses"},
        {wrong_path(0, "tls_certificate", "certificate has expired"), "store_tls"},
        {refusal(Scope::path, 0, "tls_handshake"), "store_tls"},
        {refusal(Scope::path, 0, "dns"), "store_unreachable"},
        {refusal(Scope::path, 0, "something_new"), "store_unreachable"},
        {wrong_path(0, "bad_url"), "store_unreachable"},
    };
    for (const auto& each : cases) {
      const PutResult& result = each.first;
      const std::string& id = each.second;
      CAPTURE(result.code);
      StatusSnapshot snapshot = well();
      let_store_fail(snapshot, result);
      CHECK(contains(warning(diagnosis(snapshot), id).cause, result.code));
      CHECK(contains(sentence(snapshot), " for 12 min"));
    }
  }

  TEST_CASE("an answer is never called unreachable, whatever it is") {
    std::vector<std::string> codes{"AccessDenied",
                                   "InternalError",
                                   "InvalidRequest",
                                   "NewCode",
                                   "http_413",
                                   "not_s3",
                                   "unproven",
                                   "timeout",
                                   "cut_answer",
                                   "could_not_connect",
                                   "no_answer",
                                   "dns",
                                   "tls_handshake",
                                   "connection_reset",
                                   "transport",
                                   "proxy",
                                   ""};
    for (const int status : {200, 204, 302, 400, 401, 403, 404, 405, 407, 408, 409, 411,
                             413, 429, 431, 499, 500, 501, 502, 503, 504, 507, 511, 599}) {
      codes.back() = "http_" + std::to_string(status);
      for (const std::string& code : codes) {
        for (const Scope scope : kScopes) {
          for (const bool needs_person : {false, true}) {
            PutResult result = refusal(scope, status, code, "some text");
            result.needs_person = needs_person;
            StatusSnapshot snapshot = well();
            let_store_fail(snapshot, result);
            const Diagnosis found = diagnosis(snapshot);
            REQUIRE(found.warnings.size() == 1);
            const Warning& told = found.warnings.front();
            if (told.id == "store_unreachable" || contains(told.title, "nreachable") ||
                contains(told.cause, "Nothing answers")) {
              FAIL("HTTP ", status, ", ", code, ": ", told.title);
            }
          }
        }
      }
    }
  }

  TEST_CASE("headers that were altered on the way are named, with nginx's settings") {
    for (const PutResult& result :
         {answered(403, "AccessDenied",
                   "AccessDenied: There were headers present in the request which were not signed"),
          answered(400, "http_400", "<center>Request Header Or Cookie Too Large</center>"),
          answered(403, "SignatureDoesNotMatch")}) {
      CAPTURE(result.detail);
      StatusSnapshot snapshot = well();
      let_store_fail(snapshot, result);
      const Diagnosis found = diagnosis(snapshot);
      CHECK(contains(found.warnings.front().remedy, "underscores_in_headers"));
      CHECK(contains(found.warnings.front().remedy, "ignore_invalid_headers"));
    }
  }

  TEST_CASE("refused while others flow: how many, which, since when, why, and what to do") {
    StatusSnapshot snapshot = well();
    let_some_be_refused(snapshot, {.of = Refusal::Of::prefix,
                                   .prefix = "cam2/",
                                   .messages = 31,
                                   .cause = answered(403, "AccessDenied", "Access Denied.")});
    Trends flowing = kStill;
    flowing.now.out = 4;
    const Diagnosis found = diagnosis(snapshot, flowing);
    CHECK(found.state == Health::attention);
    CHECK(found.store == Health::attention);
    CHECK(found.upload == Health::well);
    CHECK(found.sentence ==
          "Pictures come and go at once; but 31 pictures under cam2/ are refused for 12 min: "
          "AccessDenied.");
    const Warning told = warning(found, "objects_refused");
    CHECK(told.severity == Health::attention);
    CHECK(told.title == "31 pictures under cam2/ are refused for 12 min: AccessDenied");
    CHECK(told.cause ==
          "Others flow. minio.lan:9000 knows our key, but the key may not write these. "
          "(AccessDenied, HTTP 403: Access Denied.)");
    CHECK(contains(told.remedy, "s3:PutObject on arn:aws:s3:::pictures/cam2/*"));
    CHECK(contains(sentence(snapshot), "Every other picture that came is in the bucket; but 31"));
  }

  TEST_CASE("refused from the first second on") {
    StatusSnapshot snapshot = well();
    let_some_be_refused(snapshot, {.messages = 1, .cause = answered(500, "InternalError")}, 0s);
    CHECK(diagnosis(snapshot).state == Health::attention);
    CHECK(warning(diagnosis(snapshot), "objects_refused").title ==
          "1 picture is refused for 1 s: InternalError");
  }

  TEST_CASE("refused for their size") {
    StatusSnapshot snapshot = well();
    Refusal refusal{.of = Refusal::Of::size,
                    .from_bytes = 4'194'304,
                    .below_bytes = 8'388'608,
                    .messages = 8,
                    .cause = answered(413, "http_413", "<center>nginx/1.22.1</center>")};
    let_some_be_refused(snapshot, refusal);
    Warning told = warning(diagnosis(snapshot), "objects_refused");
    CHECK(told.title == "8 pictures of 4.2 to 8.4 MB are refused for 12 min: HTTP 413");
    CHECK(contains(told.cause, "nginx/1.22.1"));
    CHECK(contains(told.remedy, "client_max_body_size"));
    snapshot = well();
    refusal.from_bytes = 0;
    refusal.below_bytes = 65'536;
    let_some_be_refused(snapshot, refusal);
    told = warning(diagnosis(snapshot), "objects_refused");
    CHECK(told.title == "8 pictures below 66 kB are refused for 12 min: HTTP 413");
  }

  TEST_CASE("whatever is refused while others flow has a cause and a remedy") {
    const std::pair<PutResult, std::string> cases[]{
        {answered(403, "http_403"), "s3:PutObject on arn:aws:s3:::pictures/*"},
        {answered(403, "SignatureDoesNotMatch"), "underscores_in_headers"},
        {answered(403, "AccessDenied",
                  "AccessDenied: There were headers present in the request "
                  "which were not signed"),
         "ignore_invalid_headers"},
        {answered(400, "MissingSecurityHeader"), "underscores_in_headers"},
        {answered(400, "http_400"), "underscores_in_headers"},
        {answered(431, "http_431"), "large_client_header_buffers"},
        {answered(411, "MissingContentLength"), "Content-Length"},
        {answered(400, "BadDigest"), "changes bodies"},
        {answered(400, "InvalidRequest"), "DEAD_LETTER_AFTER"},
        {answered(405, "MethodNotAllowed"), "PUT"},
        {answered(404, "XAdminUserNotFound"), "several servers or gateways"},
        {answered(400, "QuotaExceeded"), "Make room"},
        {answered(503, "SlowDown"), "more power"},
        {answered(500, "InternalError"), "log of the store"},
        {answered(502, "http_502"), "proxy or firewall"},
        {answered(418, "http_418"), "log of the store"},
        {refusal(Scope::path, 0, "timeout"), "MTU"},
        {refusal(Scope::path, 0, "connection_reset"), "MTU"},
        {refusal(Scope::ambiguous, 200, "unproven"), "s3:GetObject on arn:aws:s3:::pictures/*"},
        {wrong_path(200, "not_s3"), "firewall"},
    };
    for (const auto& [result, remedy] : cases) {
      CAPTURE(result.code);
      StatusSnapshot snapshot = well();
      let_some_be_refused(snapshot, {.messages = 3, .cause = result});
      const Warning told = warning(diagnosis(snapshot), "objects_refused");
      CHECK(told.title.starts_with("3 pictures are refused for 12 min: "));
      CHECK(told.cause.starts_with("Others flow. "));
      CHECK(contains(told.cause, result.code));
      CAPTURE(told.remedy);
      CHECK(contains(told.remedy, remedy));
      CHECK(contains(told.remedy, "DEAD_LETTER_AFTER") == result.may_be_object_fault);
    }
  }

  TEST_CASE("nothing flows while the store is away, whatever was refused before") {
    StatusSnapshot snapshot = well();
    let_some_be_refused(snapshot, {.messages = 3, .cause = answered(403, "AccessDenied")});
    let_store_fail(snapshot, kNoConnection);
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.warnings.front().id == "store_unreachable");
    CHECK_FALSE(contains(warning(found, "objects_refused").cause, "Others flow"));
  }

  TEST_CASE("of many groups that are refused the largest are told, and how many more there are") {
    StatusSnapshot snapshot = well();
    for (std::size_t i = 0; i < 8; ++i) {
      let_some_be_refused(snapshot, {.of = Refusal::Of::prefix,
                                     .prefix = "cam" + std::to_string(i) + "/",
                                     .messages = 100 - i,
                                     .cause = answered(403, "AccessDenied")});
    }
    const Diagnosis found = diagnosis(snapshot);
    REQUIRE(found.warnings.size() == 6);
    CHECK(found.warnings[0].title.starts_with("100 pictures under cam0/"));
    CHECK(found.warnings[4].title.starts_with("96 pictures under cam4/"));
    CHECK(found.warnings[5].title == "282 more pictures are refused");
    CHECK(found.warnings[5].cause == "They are in 3 further groups, with answers of their own.");
  }

  TEST_CASE("what waits and is not refused must not stand still") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 2);
    Trends still = kStill;
    still.stands_still_for = 2min + 59s;
    CHECK(diagnosis(snapshot, still).state == Health::well);
    still.stands_still_for = 3min;
    Diagnosis found = diagnosis(snapshot, still);
    CHECK(found.state == Health::trouble);
    CHECK(found.upload == Health::trouble);
    CHECK(found.sentence ==
          "Nothing was stored for 3 min; 2 pictures (900 kB) are safe in the queue.");
    CHECK(contains(warning(found, "nothing_stored").cause, "2 pictures have waited"));

    SUBCASE("unless that is told already") {
      let_store_fail(snapshot, kNoConnection);
      CHECK(diagnosis(snapshot, still).warnings.size() == 1);
    }
    SUBCASE("and those that are refused are told as such") {
      snapshot = well();
      let_some_be_refused(snapshot, {.messages = 3, .cause = answered(403, "AccessDenied")});
      found = diagnosis(snapshot, still);
      CHECK(found.state == Health::attention);
      CHECK(found.warnings.size() == 1);
      let_wait(snapshot, 4);
      CHECK(contains(warning(diagnosis(snapshot, still), "nothing_stored").cause,
                     "1 picture has waited"));
    }
  }

  TEST_CASE("refused pictures tell nothing about the line to the store") {
    StatusSnapshot snapshot = well();
    let_some_be_refused(snapshot, {.messages = 500, .cause = answered(403, "AccessDenied")});
    snapshot.queue.oldest_age = 12min;
    Trends growing{.now = {},
                   .longer = {.over = 60s, .in = 5, .out = 2, .backlog = 3, .refused = 3}};
    CHECK(diagnosis(snapshot, growing).warnings.size() == 1);
    let_wait(snapshot, 515);
    CHECK(diagnosis(snapshot, growing).warnings.size() == 1);  // others come and go
    CHECK(
        contains(sentence(snapshot, growing), "Pictures get through; 15 others are on their way"));
    growing.longer.refused = 1;
    CHECK(warning(diagnosis(snapshot, growing), "slow_line").severity == Health::attention);
    Trends draining = kStill;
    draining.longer.backlog = -3;
    CHECK(diagnosis(snapshot, draining).empty_in == 5s);  // but for the refused ones
  }

  TEST_CASE("broker down") {
    StatusSnapshot snapshot = well();
    let_broker_fail(snapshot, {.meaning = "no answer from the broker"});
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.broker == Health::trouble);
    CHECK(found.store == Health::well);
    CHECK(found.sentence == "Broker unreachable for 3 min; nothing waits in the queue.");
    CHECK(contains(warning(found, "broker_unreachable").cause, "broker.lan:1883"));
    let_wait(snapshot, 1);
    CHECK(sentence(snapshot) ==
          "Broker unreachable for 3 min; 1 picture (450 kB) is safe in the queue.");
  }

  TEST_CASE("a refused login and a session that was ended are told apart") {
    StatusSnapshot snapshot = well();
    let_broker_fail(snapshot, {.kind = BrokerTrouble::Kind::refused,
                               .meaning = "bad username or password",
                               .needs_a_person = true});
    CHECK(contains(warning(diagnosis(snapshot), "broker_refuses_login").remedy, "MQTT_PASSWORD"));
    CHECK(sentence(snapshot).starts_with("Broker refuses our login for 3 min"));
    let_broker_fail(snapshot, {.kind = BrokerTrouble::Kind::lost,
                               .meaning = "session taken over: another client uses our client id",
                               .needs_a_person = true});
    CHECK(contains(warning(diagnosis(snapshot), "broker_ended").remedy, "MQTT_CLIENT_ID"));
  }

  /// One of two filters is not granted, for three minutes.
  StatusSnapshot with_failed_filter(FilterStatus::State state, int code) {
    StatusSnapshot snapshot = well();
    snapshot.broker.subscribed = false;
    snapshot.broker.filters = {
        {.filter = "ia/#", .state = FilterStatus::State::granted, .code = 1, .since = snapshot.at},
        {.filter = "x/#",
         .state = state,
         .code = code,
         .failures = 2,
         .since = snapshot.at - 3min}};
    return snapshot;
  }

  TEST_CASE("a refused topic filter is named, and those that are served are not") {
    const auto snapshot = with_failed_filter(FilterStatus::State::refused, 0x87);
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.broker == Health::trouble);
    CHECK(found.sentence ==
          "Broker refuses 1 of 2 topic filters for 3 min; nothing waits in the queue.");
    const Warning refused = warning(found, "broker_refuses_subscription");
    CHECK(contains(refused.cause, "“x/#” (not authorised)"));
    CHECK_FALSE(contains(refused.cause, "ia/#"));
    CHECK(contains(refused.remedy, "TOPIC"));
    CHECK(found.warnings.size() == 1);
  }

  TEST_CASE("a broker that closes at SUBSCRIBE is not taken for a network that fails") {
    auto snapshot = with_failed_filter(FilterStatus::State::disconnected, 0);
    CHECK(contains(warning(diagnosis(snapshot), "subscribe_ends_connection").cause,
                   "“x/#” (connection closed)"));
    // Also before the next connection.
    let_broker_fail(snapshot, {.kind = BrokerTrouble::Kind::not_subscribed});
    CHECK(sentence(snapshot).starts_with(
        "Broker ends the connection when we subscribe to 1 of 2 topic filters for 3 min"));
    CHECK(diagnosis(snapshot).warnings.size() == 1);
    // But not when the broker is away.
    let_broker_fail(snapshot, {.meaning = "no answer from the broker"});
    CHECK(sentence(snapshot).starts_with("Broker unreachable for 3 min"));
  }

  TEST_CASE("no SUBACK, and the last word before the first answer") {
    auto snapshot = with_failed_filter(FilterStatus::State::no_answer, 0);
    CHECK(contains(warning(diagnosis(snapshot), "subscribe_unanswered").cause, "“x/#”"));
    snapshot.broker.filters.clear();
    CHECK(diagnosis(snapshot).state == Health::trouble);
  }

  TEST_CASE("QoS 0 instead of more is told, and all is not called well") {
    StatusSnapshot snapshot = well();
    snapshot.broker.filters = {{.filter = "ia/#", .state = FilterStatus::State::granted}};
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::attention);
    CHECK(found.sentence ==
          "Every picture that came is in the bucket; but broker guarantees nothing for the topic "
          "filter.");
    CHECK(contains(warning(found, "qos_0_granted").cause, "“ia/#”"));
    snapshot.broker.filters.front().wanted_qos = 0;
    CHECK(diagnosis(snapshot).state == Health::well);
    CHECK(sentence(snapshot) == "All is well: every picture that came is in the bucket.");
  }

  TEST_CASE("both ends down") {
    StatusSnapshot snapshot = well();
    let_broker_fail(snapshot, {.meaning = "no answer from the broker"});
    let_store_fail(snapshot, kNoConnection, 45s);
    CHECK(sentence(snapshot).starts_with(
        "Broker unreachable for 3 min and store unreachable for 45 s; nothing waits"));
    CHECK(diagnosis(snapshot).warnings.size() == 2);
  }

  TEST_CASE("the first moments are no alarm") {
    StatusSnapshot snapshot = well();
    snapshot.broker.connected = false;
    snapshot.up_for = 2s;
    CHECK(diagnosis(snapshot).state == Health::attention);
    CHECK(sentence(snapshot).starts_with("Starting: connecting to the broker"));
    CHECK_FALSE(diagnosis(snapshot).is_ready());
    snapshot.up_for = 20s;
    CHECK(diagnosis(snapshot).state == Health::trouble);
  }

  TEST_CASE("full disk: which limit, and that the broker keeps the rest") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 100);
    snapshot.queue.closed_since = snapshot.at - 2min;
    snapshot.queue.intake = Intake::at_cap;
    CHECK(sentence(snapshot) ==
          "Queue full for 2 min: no new pictures are taken; 100 pictures (45 MB) are safe in "
          "the queue.");
    CHECK(contains(warning(diagnosis(snapshot), "queue_full").cause, "SPOOL_MAX_BYTES"));
    snapshot.queue.intake = Intake::at_floor;
    CHECK(contains(warning(diagnosis(snapshot), "disk_full").cause, "SPOOL_MIN_FREE_BYTES"));
    snapshot.queue.intake = Intake::disk_full;
    CHECK(contains(warning(diagnosis(snapshot), "disk_full").cause, "no room at all"));
    snapshot.queue.intake = Intake::disk_error;
    CHECK(contains(warning(diagnosis(snapshot), "disk_error").remedy, "dmesg"));
    snapshot.queue.intake = Intake::no_memory;
    CHECK(contains(warning(diagnosis(snapshot), "no_memory").remedy, "limit"));
    CHECK(diagnosis(snapshot).queue == Health::trouble);
    let_store_fail(snapshot, kNoConnection);
    snapshot.queue.intake = Intake::at_cap;
    CHECK(sentence(snapshot).starts_with(
        "Store unreachable for 12 min; queue full for 2 min: no new pictures are taken; "));
    CHECK(
        warning(diagnosis(snapshot), "queue_full").remedy.starts_with("First let the store take"));
    let_wait(snapshot, 0);
    snapshot.queue.intake = Intake::at_floor;
    CHECK(contains(warning(diagnosis(snapshot), "disk_full").remedy, "no pictures fill it"));
  }

  TEST_CASE("a queue that is nearly full, and one that cannot be read") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 100);
    snapshot.queue.room = SpoolRoom{95'000'000, 5'000'000, Intake::at_cap};
    CHECK(contains(warning(diagnosis(snapshot), "queue_fills").cause, "95 MB of 100 MB"));
    CHECK(diagnosis(snapshot).state == Health::attention);
    snapshot.queue.room.reset();
    CHECK(diagnosis(snapshot).state == Health::trouble);
    CHECK(contains(warning(diagnosis(snapshot), "disk_error").cause, "/spool"));
  }

  TEST_CASE("a certificate of ours that ends") {
    StatusSnapshot snapshot = well();
    const auto now = std::chrono::floor<std::chrono::seconds>(snapshot.wall_time);
    snapshot.certificate_ends = {{"store", now + std::chrono::days(15)}};
    CHECK(diagnosis(snapshot).warnings.empty());
    snapshot.certificate_ends = {{"store", now + std::chrono::days(13)}};
    Warning told = warning(diagnosis(snapshot), "certificate_ends");
    CHECK(told.title == "Our certificate for the store ends in 13 d");
    CHECK(contains(told.remedy, "STORE_CERT_FILE"));
    CHECK(diagnosis(snapshot).store == Health::attention);
    snapshot.certificate_ends = {{"broker", now - 1h}};
    told = warning(diagnosis(snapshot), "certificate_ends");
    CHECK(told.title == "Our certificate for the broker has ended");
    CHECK(contains(told.remedy, "MQTT_CERT_FILE"));
  }

  TEST_CASE("clock wrong: refused, or corrected from the store's") {
    StatusSnapshot snapshot = well();
    let_store_fail(snapshot, answered(403, "RequestTimeTooSkewed"));
    CHECK(contains(warning(diagnosis(snapshot), "store_refuses_time").remedy, "NTP"));
    snapshot = well();
    snapshot.store.clock_offset = 3h;
    Warning told = warning(diagnosis(snapshot), "clock_wrong");
    CHECK(told.title == "Our clock is 3 h behind the store's");
    CHECK(told.severity == Health::attention);
    CHECK(contains(sentence(snapshot), "; but our clock is 3 h behind the store's."));
    snapshot.store.clock_offset = -20min;
    CHECK(warning(diagnosis(snapshot), "clock_wrong").title ==
          "Our clock is 20 min ahead of the store's");
    snapshot.store.clock_offset = 90s;
    CHECK(warning(diagnosis(snapshot), "clock_wrong").title ==
          "Our clock is 1 min 30 s behind the store's");
    snapshot.store.clock_offset = 30s;
    CHECK(diagnosis(snapshot).state == Health::well);
  }

  TEST_CASE("bad messages: how many, why, and from where") {
    StatusSnapshot snapshot = well();
    const auto letter = [](DeadLetterReason reason, const char* detail) {
      return LetterInfo{
          {.id = SpoolId{1}, .readable = true, .topic = "ia/cam7"}, {reason, detail}, WallTime{}};
    };
    add_letter(snapshot, letter(DeadLetterReason::bad_base64, "character 7"));
    add_letter(snapshot, letter(DeadLetterReason::not_json, "at byte 0"));
    add_letter(snapshot, letter(DeadLetterReason::not_json, "at byte 12"));
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::attention);
    CHECK(found.decode == Health::attention);
    const Warning told = warning(found, "dead_letters");
    CHECK(told.title == "3 messages could not become pictures");
    CHECK(told.cause ==
          "By reason: not_json 2, bad_base64 1. The latest: at byte 12 (topic ia/cam7).");
    CHECK(contains(found.sentence, "; but 3 messages could not become pictures."));
    LetterInfo locked = letter(DeadLetterReason::not_json, "");
    locked.record.topic.clear();
    add_letter(snapshot, locked);
    CHECK(warning(diagnosis(snapshot), "dead_letters").cause.ends_with("The latest: no detail."));
  }

  TEST_CASE("slow line: the backlog grows although the store takes pictures") {
    StatusSnapshot snapshot = well();
    let_wait(snapshot, 200);
    snapshot.queue.oldest_age = 90s;
    Trends growing{.now = {},
                   .longer = {.over = 60s,
                              .in = 5,
                              .out = 2,
                              .out_bytes = 20'000,
                              .backlog = 3,
                              .used_bytes = 50'000}};
    const Diagnosis found = diagnosis(snapshot, growing);
    CHECK(found.state == Health::attention);
    CHECK(found.upload == Health::attention);
    CHECK(contains(found.sentence,
                   "Pictures come faster than they leave; 200 pictures (90 MB) are "
                   "safe in the queue; at the present rate the queue is full in 5 h"));
    Warning told = warning(found, "slow_line");
    CHECK(contains(told.cause, "5.0 pictures a second come, 2.0 leave (20 kB a second)"));
    CHECK(contains(told.remedy, "faster line to minio.lan:9000"));
    CHECK(told.title == "The line to the store is too slow for what comes");
    snapshot.names.bandwidth_limit = 20'000;
    CHECK(warning(diagnosis(snapshot, growing), "slow_line").title ==
          "The limit of bandwidth is too low for what comes");
    CHECK(contains(warning(diagnosis(snapshot, growing), "slow_line").remedy,
                   "Raise UPLOAD_BANDWIDTH_LIMIT, which is 20 kB a second"));
    snapshot.queue.oldest_age = 5s;  // a burst
    CHECK(diagnosis(snapshot, growing).state == Health::well);
  }

  TEST_CASE("what may have been lost is told for a day") {
    StatusSnapshot snapshot = well();
    snapshot.broker.session_lost_at = snapshot.at - 5h;
    CHECK(contains(warning(diagnosis(snapshot), "session_lost").title, "5 h ago"));
    snapshot.broker.session_lost_at = snapshot.at - 25h;
    CHECK(diagnosis(snapshot).state == Health::well);
    snapshot.letters.dropped = {12, snapshot.at - 1h};
    CHECK(warning(diagnosis(snapshot), "dead_letters_dropped").title ==
          "12 dead letters were dropped");
    snapshot.letters.dropped.last = snapshot.at - 25h;
    CHECK(diagnosis(snapshot).state == Health::well);
  }

  TEST_CASE("files set aside are told until they are gone") {
    StatusSnapshot snapshot = well();
    snapshot.queue.files_set_aside = 1;
    CHECK(contains(warning(diagnosis(snapshot), "files_set_aside").cause, "Nothing is known"));
    snapshot.queue.totals.set_aside = 3;
    CHECK(contains(warning(diagnosis(snapshot), "files_set_aside").cause, "3 messages are only"));
  }

  TEST_CASE("a connection that keeps breaking") {
    Trends trends = kStill;
    trends.connections_lost = 5;
    CHECK(warning(diagnosis(well(), trends), "broker_unsteady").severity == Health::attention);
    trends.connections_lost = 4;
    CHECK(diagnosis(well(), trends).state == Health::well);
  }

  TEST_CASE("broker silent: connected, and not heard") {
    StatusSnapshot snapshot = well();
    snapshot.broker.silent_since = snapshot.at - 95s;
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.broker == Health::trouble);
    CHECK(found.sentence.starts_with("Nothing heard from the broker for 1 min 35 s"));
    CHECK(contains(warning(found, "broker_silent").cause, "broker.lan:1883"));
  }

  TEST_CASE("the worst comes first") {
    StatusSnapshot snapshot = well();
    snapshot.queue.files_set_aside = 1;
    snapshot.store.clock_offset = 1h;
    let_store_fail(snapshot, kNoConnection);
    const Diagnosis found = diagnosis(snapshot);
    CHECK(found.state == Health::trouble);
    CHECK(found.warnings.front().id == "store_unreachable");
    CHECK(found.warnings.size() == 3);
  }

  TEST_CASE("a trend is as long as what it is about") {
    StatusSnapshot snapshot = well();
    CHECK(span_of_trend(snapshot) == 120s);
    let_store_fail(snapshot, kNoConnection, 3s);
    CHECK(span_of_trend(snapshot) == 20s);
    let_store_fail(snapshot, kNoConnection, 90s);
    CHECK(span_of_trend(snapshot) == 90s);
    let_store_fail(snapshot, kNoConnection, 9000s);
    CHECK(span_of_trend(snapshot) == 600s);
    let_broker_fail(snapshot, {}, 60s);  // the later of the two
    CHECK(span_of_trend(snapshot) == 60s);
  }
}

}  // namespace
