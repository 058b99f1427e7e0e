#include "pipeline/dead_letter_uploader.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "m2b/pipeline/pipeline.hpp"
#include "support/eventually.hpp"
#include "support/fake_object_store.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("dead_letter_uploader") {
  using namespace m2b;
  using namespace std::chrono_literals;
  using test::append_durably;
  using test::eventually;
  using test::FakeBucket;

  struct Fixture {
    test::TempDir dir;
    FakeBucket bucket;
    Spool spool{{.directory = dir.path() / "spool", .min_free_bytes = 0}};
    PipelineOptions options{
        .uploaders = 2, .dead_letter_prefix = "bad/", .backoff = {.base = 1ms, .cap = 5ms}};
    Pipeline pipeline{options, spool,
                      [this] { return std::make_unique<test::FakeObjectStore>(bucket); }};

    /// The bodies under the prefix.
    std::multiset<std::string> sent() const {
      std::multiset<std::string> bodies;
      for (const auto& [key, body] : bucket.objects()) {
        if (key.starts_with("bad/")) {
          bodies.insert(body);
        }
      }
      return bodies;
    }
  };

  TEST_CASE_FIXTURE(Fixture,
                    "a dead letter goes to the bucket with its reason, and leaves the spool") {
    Metadata metadata;
    bucket.set_answer([&](const Object& object) {
      metadata = object.metadata;
      return FakeBucket::stored();
    });
    pipeline.start();
    append_durably(spool, "some/topic", "not json");
    CHECK(eventually([&] { return spool.totals().stored == 1; }));
    CHECK(sent() == std::multiset<std::string>{"not json"});
    CHECK(spool.totals().dead_lettered == 0);
    CHECK(spool.dead_letters_kept() == 0);
    pipeline.stop(1s);
    const std::map<std::string, std::string> named(metadata.begin(), metadata.end());
    CHECK(named.at("reason") == "not_json");
    CHECK(named.at("mqtt_topic") == "some/topic");
    CHECK(named.contains("detail"));
    CHECK(named.contains("received_at_ms"));
  }

  TEST_CASE_FIXTURE(Fixture, "those from before the start are sent as well") {
    for (int i = 0; i < 120; ++i) {
      append_durably(spool, "t", std::to_string(i));
      CHECK(spool.bury(SpoolId(i + 1U), {DeadLetterReason::not_json, ""}) == Burial::done);
    }
    pipeline.start();
    CHECK(eventually([&] { return spool.totals().stored == 120; }));
    CHECK(sent().size() == 120);
  }

  TEST_CASE_FIXTURE(Fixture, "while the store is away dead letters wait like the others") {
    std::atomic<bool> away{true};
    bucket.set_answer(
        [&](const Object&) { return away ? FakeBucket::away() : FakeBucket::stored(); });
    pipeline.start();
    append_durably(spool, "t", "not json");
    CHECK(eventually([&] { return bucket.attempts() > 5; }));
    CHECK(spool.totals().dead_lettered == 1);
    away = false;
    CHECK(eventually([&] { return spool.totals().stored == 1; }));
  }

  TEST_CASE_FIXTURE(Fixture, "one that the store refuses stays, and the others go") {
    bucket.set_answer([&](const Object& object) {
      return object.body == "refused"     ? refusal(Scope::object, 400, "EntityTooLarge")
             : object.body == "ambiguous" ? refusal(Scope::ambiguous, 400, "Odd")
                                          : FakeBucket::stored();
    });
    pipeline.start();
    for (const char* payload : {"refused", "ambiguous", "fine"}) {
      append_durably(spool, "t", payload);
    }
    CHECK(eventually([&] { return spool.totals().stored == 1; }));
    CHECK(eventually([&] { return bucket.attempts() >= 3; }));
    CHECK(sent() == std::multiset<std::string>{"fine"});
    CHECK(spool.dead_letters_kept() == 2);
  }
}

}  // namespace
