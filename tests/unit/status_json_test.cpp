#include "status/status_json.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "support/status_snapshots.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using documents::Json;

TEST_SUITE("status_json") {
  const StatusOptions kOpen{.enabled = true, .host = "127.0.0.1", .port = 9797};

  StatusView view_of(StatusSnapshot snapshot) {
    StatusView view;
    view.diagnosis = diagnose(snapshot, {});
    view.snapshot = std::move(snapshot);
    return view;
  }
  std::set<std::string> names_of(const Json& json) {
    std::set<std::string> names;
    for (const auto& [name, value] : json.items()) {
      names.insert(name);
    }
    return names;
  }

  TEST_CASE("what the broker grants and announces") {
    StatusSnapshot snapshot = test::well();
    snapshot.broker.keep_alive = 10s;
    snapshot.broker.connack = ConnackProperties{.session_expiry = 60s,
                                                .server_keep_alive = 10s,
                                                .maximum_packet_size = 131'072,
                                                .statement = {.reason = "hi"}};
    snapshot.broker.incomplete_message = IncompleteMessage{12'000'000, 5'400'000, 3};
    const Json broker = status_json(view_of(snapshot), Access(kOpen))["broker"];
    CHECK(broker["keep_alive_seconds"] == 10);
    CHECK(names_of(broker["connack"]) ==
          std::set<std::string>{"session_expiry_seconds", "server_keep_alive_seconds",
                                "receive_maximum", "maximum_qos", "maximum_packet_size",
                                "topic_alias_maximum", "retain_available", "wildcard_subscriptions",
                                "subscription_identifiers", "shared_subscriptions",
                                "assigned_client_id", "reason_string", "server_reference"});
    CHECK(broker["connack"]["session_expiry_seconds"] == 60);
    CHECK(broker["connack"]["maximum_packet_size"] == 131'072);
    CHECK(broker["connack"]["reason_string"] == "hi");
    CHECK(broker["incomplete_message"]["times"] == 3);
    CHECK(broker["incomplete_message"]["total_bytes"] == 12'000'000);
  }

  TEST_CASE("each topic filter is shown with what the broker said to it") {
    StatusSnapshot snapshot = test::well();
    snapshot.broker.filters = {{.filter = "a/#",
                                .state = FilterStatus::State::granted,
                                .code = 0,
                                .since = snapshot.at - std::chrono::seconds(5)},
                               {.filter = "b/#",
                                .state = FilterStatus::State::refused,
                                .code = 0x87,
                                .statement = {.reason = "no"},
                                .failures = 3,
                                .since = snapshot.at - std::chrono::seconds(7)}};
    const Json json = status_json(view_of(std::move(snapshot)), Access(kOpen));
    CHECK(json["broker"]["filters"] == Json::array({{{"filter", "a/#"},
                                                     {"state", "granted"},
                                                     {"wanted_qos", 1},
                                                     {"granted_qos", 0},
                                                     {"reason_code", nullptr},
                                                     {"meaning", nullptr},
                                                     {"reason_string", ""},
                                                     {"failures", 0},
                                                     {"for_seconds", 5}},
                                                    {{"filter", "b/#"},
                                                     {"state", "refused"},
                                                     {"wanted_qos", 1},
                                                     {"granted_qos", nullptr},
                                                     {"reason_code", 0x87},
                                                     {"meaning", "not authorised"},
                                                     {"reason_string", "no"},
                                                     {"failures", 3},
                                                     {"for_seconds", 7}}}));
  }

  TEST_CASE("the names are those of docs/status.md") {
    const Json json = status_json(view_of(test::well()), Access(kOpen));
    CHECK(names_of(json) == std::set<std::string>{"version", "time_ms", "up_seconds", "state",
                                                  "sentence", "warnings", "stages", "rates",
                                                  "forecast", "broker", "queue", "store",
                                                  "dead_letters", "pictures", "history", "access"});
    CHECK(names_of(json["broker"]) ==
          std::set<std::string>{"address", "topics", "connected", "subscribed", "filters",
                                "trouble", "silent_for_seconds", "received", "empty",
                                "acknowledged", "connects", "connect_failures", "connections_lost",
                                "sessions_lost", "messages_cut", "incomplete_message",
                                "keep_alive_seconds", "session_expiry_asked_seconds", "connack"});
    CHECK(names_of(json["queue"]) ==
          std::set<std::string>{"folder", "accounts", "intake", "closed_for_seconds",
                                "oldest_age_seconds", "used_bytes", "left_bytes", "bound",
                                "files_set_aside"});
    CHECK(names_of(json["store"]) ==
          std::set<std::string>{"address", "bucket", "state", "trouble", "refused_messages",
                                "refusals", "refusals_by_code", "uploads", "uploaded_bytes",
                                "slots", "clock_offset_seconds"});
    CHECK(json["state"] == "well");
    CHECK(json["broker"]["trouble"].is_null());
    CHECK(json["broker"]["connack"].is_null());
    CHECK(json["broker"]["incomplete_message"].is_null());
    CHECK(json["broker"]["silent_for_seconds"].is_null());
    CHECK(json["store"]["clock_offset_seconds"].is_null());
    CHECK(json["forecast"]["full_in_seconds"].is_null());
    CHECK(json["queue"]["accounts"]["stored"] == 100);
    CHECK(json["access"]["content"] == "open");
    CHECK(json["access"]["actions"] == false);
  }

  TEST_CASE("trouble is there with its cause and how long it lasts") {
    StatusSnapshot snapshot = test::well();
    test::let_store_fail(snapshot,
                         refusal(Scope::credentials, 403, "AccessDenied", "Access Denied."));
    test::let_broker_fail(snapshot, {.meaning = "no answer from the broker"});
    snapshot.queue.intake = Intake::at_cap;
    snapshot.queue.closed_since = snapshot.at - 5s;
    const Json json = status_json(view_of(snapshot), Access(kOpen));
    CHECK(json["state"] == "trouble");
    CHECK(json["stages"]["store"] == "trouble");
    CHECK(json["store"]["state"] == "blocked");
    CHECK(json["store"]["trouble"] == Json{{"code", "AccessDenied"},
                                           {"http_status", 403},
                                           {"scope", "credentials"},
                                           {"needs_person", true},
                                           {"detail", "Access Denied."},
                                           {"for_seconds", 720}});
    CHECK(json["broker"]["trouble"]["for_seconds"] == 180);
    CHECK(json["queue"]["closed_for_seconds"] == 5);
    CHECK(json["queue"]["intake"] == "at_cap");
    CHECK(json["queue"]["bound"] == "at_floor");
    CHECK(json["warnings"].size() == 3);
    CHECK(names_of(json["warnings"][0]) ==
          std::set<std::string>{"id", "severity", "title", "cause", "remedy"});
  }

  TEST_CASE("refusals are there with what they have in common, since when, and why") {
    StatusSnapshot snapshot = test::well();
    snapshot.store.uploads_stored = 5;
    snapshot.store.uploads_refused[Scope::ambiguous] = 40;
    snapshot.store.refusals_by_code["AccessDenied"] = 40;
    const PutResult denied = refusal(Scope::ambiguous, 403, "AccessDenied", "Access Denied.");
    test::let_some_be_refused(
        snapshot, {.of = Refusal::Of::prefix, .prefix = "cam2/", .messages = 31, .cause = denied});
    test::let_some_be_refused(snapshot, {.of = Refusal::Of::size,
                                         .from_bytes = 4'194'304,
                                         .below_bytes = 8'388'608,
                                         .messages = 8,
                                         .cause = refusal(Scope::ambiguous, 413, "http_413")});
    test::let_some_be_refused(snapshot, {.messages = 1, .cause = denied});
    Json store = status_json(view_of(snapshot), Access(kOpen))["store"];
    CHECK(store["uploads"] == Json{{"stored", 5}, {"refused", {{"ambiguous", 40}}}});
    CHECK(store["refusals_by_code"] == Json{{"AccessDenied", 40}});
    CHECK(store["refused_messages"] == 40);
    REQUIRE(store["refusals"].size() == 3);
    CHECK(store["refusals"][0] == Json{{"of", "prefix"},
                                       {"prefix", "cam2/"},
                                       {"from_bytes", nullptr},
                                       {"below_bytes", nullptr},
                                       {"messages", 31},
                                       {"code", "AccessDenied"},
                                       {"http_status", 403},
                                       {"scope", "ambiguous"},
                                       {"needs_person", false},
                                       {"detail", "Access Denied."},
                                       {"for_seconds", 720}});
    CHECK(store["refusals"][1]["of"] == "size");
    CHECK(store["refusals"][1]["prefix"].is_null());
    CHECK(store["refusals"][1]["from_bytes"] == 4'194'304);
    CHECK(store["refusals"][1]["below_bytes"] == 8'388'608);
    CHECK(store["refusals"][2]["of"] == "alone");
    for (int i = 0; i < 100; ++i) {
      test::let_some_be_refused(snapshot, {.messages = 1, .cause = denied});
    }
    store = status_json(view_of(snapshot), Access(kOpen))["store"];
    CHECK(store["refused_messages"] == 140);
    CHECK(store["refusals"].size() == 20);
  }

  TEST_CASE("who may see content is told") {
    const auto content = [](const StatusOptions& options) {
      return status_json(view_of(test::well()), Access(options))["access"]["content"];
    };
    StatusOptions options{.enabled = true, .host = "0.0.0.0", .port = 9797};
    CHECK(content(options) == "closed");
    options.token = Secret("a-token-of-some-length");
    CHECK(content(options) == "token");
  }

  TEST_CASE("what is no UTF-8 is written all the same") {
    StatusSnapshot snapshot = test::well();
    test::add_letter(snapshot, {{.id = SpoolId{7}, .readable = true, .topic = "a\xff"},
                                {DeadLetterReason::bad_key, "\xc3("},
                                WallTime{}});
    const std::string text = documents::line_of(status_json(view_of(snapshot), Access(kOpen)));
    CHECK(Json::parse(text)["dead_letters"]["latest"][0]["id"] == 7);
  }

  Json letter(const std::string& payload, std::size_t all) {
    return letter_json({{.id = SpoolId{3}, .readable = true, .topic = "t", .payload_bytes = all},
                        {DeadLetterReason::not_json, "x"},
                        WallTime{}},
                       payload);
  }
  Json letter(const std::string& payload) { return letter(payload, payload.size()); }

  TEST_CASE("a payload is shown as text where it is text") {
    const Json text = letter(
        "{\"gr\xc3\xb6\xc3\x9f"
        "e\": 1}\n\t");
    CHECK(text["id"] == 3);
    CHECK(text["reason"] == "not_json");
    CHECK(text["text"] ==
          "{\"gr\xc3\xb6\xc3\x9f"
          "e\": 1}\n\t");
    CHECK_FALSE(text.contains("hex"));
    CHECK(letter("")["text"] == "");
    CHECK(letter("ab\xc3", 1000).contains("text"));  // cut within a character
    CHECK(letter("ab", 1000)["shown_bytes"] == 2);
    CHECK(letter("ab", 1000)["payload_bytes"] == 1000);
  }

  TEST_CASE("and in hexadecimal digits where it is not") {
    CHECK(letter("\xff\xd8\x01")["hex"] == "ffd801");
    CHECK(letter("ab\xc3")["hex"] == "6162c3");
    CHECK(letter(std::string("a\0b", 3))["hex"] == "610062");
    CHECK(letter("\x1b[31m").contains("hex"));
    CHECK(letter(std::string(5000, '\x01'))["shown_bytes"] == 1024);
  }
}

}  // namespace
