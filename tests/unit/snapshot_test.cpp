#include "status/snapshot.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>

#include "status/metrics.hpp"
#include "support/eventually.hpp"
#include "support/fake_object_store.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using test::eventually;

TEST_SUITE("snapshot") {
  struct Fixture {
    test::TempDir dir;
    test::FakeBucket bucket;
    MqttOptions mqtt_options;
    PipelineOptions pipeline_options;
    Spool spool{{.directory = dir.path(), .max_bytes = 10 << 20, .min_free_bytes = 0}};
    LastPictures pictures{0ms};
    ClockOffset clock_offset;
    Pipeline pipeline{pipeline_options, spool,
                      [this] { return std::make_unique<test::FakeObjectStore>(bucket); }};
    Receiver receiver{mqtt_options, spool};
    StatusSources sources{.spool = spool,
                          .receiver = receiver,
                          .pipeline = pipeline,
                          .clock_offset = &clock_offset,
                          .pictures = &pictures,
                          .names = {.bucket = "pictures"}};

    StatusSnapshot snapshot() {
      return take_snapshot(sources, std::chrono::steady_clock::now() - 90s);
    }
  };

  TEST_CASE_FIXTURE(Fixture, "it tells of what waits, and of the room for it") {
    test::append_durably(spool, "ia/x", std::string(100'000, 'x'));
    const StatusSnapshot now = snapshot();
    CHECK(now.up_for == 90s);
    CHECK(now.names.bucket == "pictures");
    CHECK(now.queue.totals.waiting() == 1);
    CHECK(now.queue.intake == Intake::open);
    CHECK_FALSE(now.queue.closed_since);
    REQUIRE(now.queue.room);
    CHECK(now.queue.room->used >= 100'000);
    CHECK(now.queue.room->left < 10 << 20);
    CHECK(now.queue.room->bound == Intake::at_cap);
    CHECK_FALSE(now.broker.connected);
    CHECK(now.store.state == StoreState::unknown);
    CHECK(now.sample().waiting == 1);
    CHECK(now.sample().oldest == now.queue.oldest);
    CHECK(now.queue.oldest != WallTime{});
    CHECK_FALSE(now.broker.last_message_at);
    CHECK(now.sample().used_bytes == now.queue.room->used);
  }

  TEST_CASE_FIXTURE(Fixture, "it tells of pictures that were stored, and of dead letters") {
    pipeline.set_stored_listener([this](const Object& object) { pictures.offer(object); });
    CHECK_FALSE(snapshot().store.clock_offset);
    clock_offset.saw(90s);  // it did not refuse our time yet
    test::append_durably(spool, "ia/x", test::image_json("a", "/9j/4AAQ"));  // a JPEG's beginning
    test::append_durably(spool, "ia/y", "bad");
    pipeline.start();
    CHECK(eventually([&] { return spool.totals().waiting() == 0; }));
    pipeline.stop(1s);
    const StatusSnapshot now = snapshot();
    CHECK(now.store.state == StoreState::reachable);
    CHECK(now.store.clock_offset == 90s);
    CHECK(now.store.uploaded_bytes == 6);
    REQUIRE(now.pictures.size() == 1);
    CHECK(now.pictures.front().key == "a.jpg");
    CHECK(now.pictures.front().topic == "ia/x");
    CHECK(now.letters.kept == 1);
    REQUIRE(now.letters.latest.size() == 1);
    CHECK(now.letters.latest.front().record.topic == "ia/y");
    REQUIRE(now.letters.buried.size() == 1);
    CHECK(now.letters.buried.front().first == DeadLetterReason::not_json);
    CHECK(now.sample().stored == 1);
    CHECK(now.sample().stored_bytes == 6);
  }

  TEST_CASE_FIXTURE(Fixture, "it tells of pictures that replaced others under their key") {
    for (const char* const bytes : {"QUJD", "QUJE", "QUJE", "QUJF"}) {
      test::append_durably(spool, "ia/x", test::image_json("a", bytes));
    }
    test::append_durably(spool, "ia/x", test::image_json("b", "QUJD"));
    test::append_durably(spool, "ia/x", "bad");
    pipeline.start();
    CHECK(eventually([&] { return spool.totals().waiting() == 0; }));
    pipeline.stop(1s);
    CHECK(snapshot().store.overwrites ==
          Overwrites{.total = 2, .recent_uploads = 4, .recent_keys = 2});
  }

  TEST_CASE_FIXTURE(Fixture, "it tells why the store takes nothing") {
    bucket.set_answer([](const Object&) { return test::FakeBucket::away(); });
    test::append_durably(spool, "ia/x", test::image_json("a", "QUJD"));
    pipeline.start();
    CHECK(eventually([&] { return snapshot().store.trouble.has_value(); }));
    CHECK(snapshot().store.trouble->last_failure.code == "SlowDown");
    CHECK(snapshot().store.state == StoreState::away);
    pipeline.stop(0ms);
  }

  /// Twenty messages are refused, all of one prefix, and 21 others are stored.
  struct PartlyRefused : Fixture {
    PartlyRefused() {
      bucket.set_answer([](const Object& object) {
        return object.key.str().starts_with("cam2/")
                   ? refusal(Scope::ambiguous, 403, "AccessDenied", "Access Denied.")
                   : test::FakeBucket::stored();
      });
      for (int i = 0; i < 20; ++i) {
        append("cam1/" + std::to_string(i));
        append("cam2/" + std::to_string(i));
      }
      pipeline.start();
      REQUIRE(eventually(
          [this] { return spool.totals().stored == 20 && snapshot().refused_messages() == 20; }));
      append("cam1/last");  // the store has taken one after the last refusal
      REQUIRE(eventually(
          [this] { return spool.totals().stored == 21 && snapshot().refused_messages() == 20; }));
    }

    void append(const std::string& id) {
      test::append_durably(spool, "ia/x", test::image_json(id, "QUJD"));
    }
  };

  TEST_CASE_FIXTURE(PartlyRefused, "it tells what is refused while others are stored") {
    const StatusSnapshot now = snapshot();
    REQUIRE_FALSE(now.store.refusals.empty());
    const Refusal& most = now.store.refusals.front();
    CHECK(most.of == Refusal::Of::prefix);
    CHECK(most.prefix == "cam2/");
    CHECK(most.messages >= now.store.refusals.back().messages);
    CHECK(most.cause.code == "AccessDenied");
    CHECK(now.store.state == StoreState::reachable);
    CHECK(now.store.uploads_stored == 21);
    CHECK(now.store.uploads_refused.at(Scope::ambiguous) >= 3);
    CHECK(now.store.refusals_by_code.at("AccessDenied") >= 3);
    CHECK(now.sample().refused == 20);
    CHECK(now.sample().progress == 42);  // uploads, and messages that left
    pipeline.stop(0ms);
  }

  TEST_CASE_FIXTURE(PartlyRefused, "so do the metrics, without a label for each prefix") {
    const std::string text = metrics_text(sources, Diagnosis());
    const auto has = [&text](const char* part) { return text.find(part) != std::string::npos; };
    CAPTURE(text);
    CHECK(has("mqtt_to_blob_uploads_total{result=\"stored\"} 21\n"));
    CHECK(has("mqtt_to_blob_uploads_total{result=\"refused\",scope=\"ambiguous\"} "));
    CHECK(has("mqtt_to_blob_uploads_total{result=\"refused\",scope=\"credentials\"} 0\n"));
    CHECK(has("mqtt_to_blob_upload_refusals_total{reason=\"AccessDenied\"} "));
    CHECK(has("mqtt_to_blob_uploads_live_total "));
    CHECK(has("mqtt_to_blob_refused_messages{of=\"prefix\"} "));
    CHECK(has("mqtt_to_blob_refused_messages{of=\"size\"} "));
    CHECK(has("mqtt_to_blob_refused_messages{of=\"alone\"} "));
    CHECK_FALSE(has("mqtt_to_blob_refusal_oldest_age_seconds 0\n"));
    CHECK(has("mqtt_to_blob_refusal_oldest_age_seconds "));
    CHECK(has("mqtt_to_blob_store_state{state=\"blocked\"} 0\n"));
    CHECK_FALSE(has("cam2"));
    pipeline.stop(0ms);
  }

  /// One message is refused, and its second attempt takes as long as the test wants.
  struct TriedAgain : Fixture {
    TriedAgain() {
      bucket.set_answer([this](const Object& object) {
        if (!object.key.str().starts_with("cam2/")) {
          return test::FakeBucket::stored();
        }
        if (++attempts == 2) {
          may_end.wait();
        }
        return refusal(Scope::ambiguous, 403, "AccessDenied");
      });
      append("cam2/0");
      pipeline.start();
    }
    ~TriedAgain() {
      if (!may_end.try_wait()) {
        may_end.count_down();
      }
      pipeline.stop(0ms);
    }

    void append(const std::string& id) {
      test::append_durably(spool, "ia/x", test::image_json(id, "QUJD"));
    }

    std::atomic<int> attempts{0};
    std::latch may_end{1};
  };

  TEST_CASE_FIXTURE(TriedAgain,
                    "what is tried again is refused meanwhile, and since the first time") {
    REQUIRE(eventually([this] { return attempts > 0; }));
    append("cam1/1");  // the store takes others
    REQUIRE(eventually([this] { return spool.totals().stored == 1 && attempts == 2; }));
    const StatusSnapshot before = snapshot();
    CHECK(before.store.state == StoreState::reachable);
    REQUIRE(before.store.refusals.size() == 1);
    CHECK(before.store.refusals[0].messages == 1);
    CHECK(before.store.refusals[0].cause.code == "AccessDenied");
    may_end.count_down();
    REQUIRE(eventually([this] { return attempts > 2; }));
    REQUIRE(snapshot().store.refusals.size() == 1);
    CHECK(snapshot().store.refusals[0].since == before.store.refusals[0].since);
  }

  TEST_CASE_FIXTURE(TriedAgain,
                    "with nothing else to store the store refuses us meanwhile as well") {
    REQUIRE(eventually([this] { return attempts == 2; }));
    CHECK(snapshot().store.state != StoreState::reachable);
    REQUIRE(snapshot().store.trouble);
    CHECK(snapshot().store.trouble->last_failure.code == "AccessDenied");
    CHECK(snapshot().store.outages == 1);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "the metrics have the state of the diagnosis and each of its warnings") {
    Diagnosis diagnosis;
    diagnosis.state = Health::trouble;
    diagnosis.warnings.push_back({"queue_full", Health::trouble, "title", "cause", "remedy"});
    const std::string text = metrics_text(sources, diagnosis);
    const auto has = [&text](const char* part) { return text.find(part) != std::string::npos; };
    CHECK(has("mqtt_to_blob_health_state{state=\"trouble\"} 1\n"));
    CHECK(has("mqtt_to_blob_health_state{state=\"well\"} 0\n"));
    CHECK(has("mqtt_to_blob_warning{id=\"queue_full\"} 1\n"));
    CHECK(has("mqtt_to_blob_warning{id=\"disk_full\"} 0\n"));
  }

  TEST_CASE_FIXTURE(Fixture, "the metrics of refusals are 0 while there is none") {
    const std::string text = metrics_text(sources, Diagnosis());
    CHECK(text.find("mqtt_to_blob_refusal_oldest_age_seconds 0\n") != std::string::npos);
    CHECK(text.find("mqtt_to_blob_refused_messages{of=\"prefix\"} 0\n") != std::string::npos);
  }
}

}  // namespace
