#include "m2b/pipeline/pipeline.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.hpp"
#include "support/fake_object_store.hpp"
#include "support/keys.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;
using test::append_durably;
using test::eventually;
using test::FakeBucket;
using test::image_json;

TEST_SUITE("pipeline") {
  PutResult denied() {
    PutResult result = refusal(Scope::ambiguous, 403, "AccessDenied");
    result.needs_person = true;
    return result;
  }
  PutResult may_be_its_fault() {
    PutResult result = refusal(Scope::ambiguous, 400, "InvalidArgument");
    result.may_be_object_fault = true;
    return result;
  }

  struct Fixture {
    test::TempDir dir;
    SpoolOptions spool_options{
        .directory = dir.path() / "spool", .max_bytes = 0, .min_free_bytes = 0};
    PipelineOptions options;
    FakeBucket bucket;
    std::optional<Spool> spool{std::in_place, spool_options};
    std::optional<Pipeline> pipeline;

    Fixture() {
      options.decoders = 3;
      options.backoff = {.base = 1ms, .cap = 10ms};
      options.postponement = {.base = 5ms, .cap = 40ms};
      options.dead_letter_after = 0s;
    }
    ~Fixture() { stop(); }

    void start() {
      pipeline.emplace(options, *spool,
                       [this] { return std::make_unique<test::FakeObjectStore>(bucket); });
      pipeline->start();
    }
    void stop(std::chrono::milliseconds patience = 5s) {
      if (pipeline) {
        pipeline->stop(patience);
        pipeline.reset();
      }
    }
    void restart() {
      stop();
      spool.reset();
      spool.emplace(spool_options);
      start();
    }
    void append(const std::string& image_id, const std::string& base64 = "QUJD") {
      append_durably(*spool, "ia/x", image_json(image_id, base64));
    }
    bool drained() {
      return eventually([&] { return spool->totals().waiting() == 0; });
    }
    /// A dead letter is counted after it has left the spool.
    bool counted_once(DeadLetterReason reason) {
      return eventually([&] { return pipeline->stats().dead_letters(reason) == 1; });
    }
  };

  TEST_CASE_FIXTURE(Fixture, "its threads beat when they are poked, or rest") {
    start();
    std::vector<std::string> names;
    for (const NamedPulse& thread : pipeline->pulses()) {
      CAPTURE(thread.name);
      names.push_back(thread.name);
      const bool waits_for_work = thread.name.starts_with("decode");
      CHECK(eventually([&] { return (thread.pulse->silent_for() > 50ms) != waits_for_work; }));
      pipeline->poke();
      CHECK(eventually([&] { return thread.pulse->silent_for() < 50ms; }));
    }
    CHECK(names == std::vector<std::string>{"dispatcher", "decode-0", "decode-1", "decode-2"});
  }

  TEST_CASE_FIXTURE(Fixture, "a message becomes its object and leaves the spool") {
    start();
    append("a");
    CHECK(drained());
    CHECK(bucket.objects() == std::map<std::string, std::string>{{"a.jpg", "ABC"}});
    CHECK(spool->totals().stored == 1);
    CHECK(pipeline->stats().uploads_stored() == 1);
    CHECK(pipeline->store_state() == StoreState::reachable);
  }

  TEST_CASE_FIXTURE(Fixture, "what waited before the start is delivered as well") {
    for (int i = 0; i < 500; ++i) {
      append(std::to_string(i));
    }
    start();
    CHECK(drained());
    CHECK(bucket.objects().size() == 500);
  }

  TEST_CASE_FIXTURE(Fixture, "a bad message goes to the dead letters, the others go on") {
    start();
    append("a");
    append_durably(*spool, "ia/x", "not json");
    append("..", "QUJD");
    append("b");
    CHECK(drained());
    CHECK(bucket.objects().size() == 3);  // `..` with `.jpg` behind it is a key like any other
    CHECK(spool->totals().dead_lettered == 1);
    CHECK(counted_once(DeadLetterReason::not_json));
  }

  TEST_CASE_FIXTURE(Fixture, "while the store is away one upload probes, nothing is lost") {
    std::atomic<bool> away{true};
    bucket.set_answer([&](const Object&) {
      std::this_thread::sleep_for(1ms);
      return away ? FakeBucket::away() : FakeBucket::stored();
    });
    start();
    for (int i = 0; i < 50; ++i) {
      append(std::to_string(i));
    }
    CHECK(eventually([&] { return bucket.attempts() > 20; }));
    CHECK(pipeline->store_state() == StoreState::away);
    static_cast<void>(bucket.take_most_at_once());
    const int before = bucket.attempts();
    CHECK(eventually([&] { return bucket.attempts() > before + 10; }));
    CHECK(bucket.take_most_at_once() == 1);
    CHECK(spool->totals().waiting() == 50);

    away = false;
    CHECK(drained());
    CHECK(bucket.objects().size() == 50);
    CHECK(pipeline->stats().refusals().at("SlowDown") > 20);
  }

  TEST_CASE_FIXTURE(Fixture, "refused credentials hold everything and drop nothing") {
    std::atomic<bool> refused{true};
    bucket.set_answer([&](const Object&) {
      return refused ? refusal(Scope::credentials, 403, "InvalidAccessKeyId")
                     : FakeBucket::stored();
    });
    start();
    for (int i = 0; i < 20; ++i) {
      append(std::to_string(i));
    }
    CHECK(eventually([&] { return bucket.attempts() > 20; }));
    CHECK(pipeline->store_state() == StoreState::blocked);
    CHECK(spool->totals().waiting() == 20);
    refused = false;
    CHECK(drained());
    CHECK(spool->totals().stored == 20);
    CHECK(spool->totals().dead_lettered == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "the later message of a key wins, also when uploads fail at random") {
    std::atomic<unsigned> count{0};
    bucket.set_answer([&](const Object&) {
      return count++ % 3 == 0 ? FakeBucket::away() : FakeBucket::stored();
    });
    start();
    for (int i = 0; i < 60; ++i) {
      append("same", i % 2 == 0 ? "QUJD" : "REVG");
      append("other" + std::to_string(i));
    }
    append("same", "TEFTVA==");
    CHECK(drained());
    CHECK(bucket.objects().at("same.jpg") == "LAST");
    CHECK(bucket.parallel_same_key() == 0);
    const auto history = bucket.history("same.jpg");
    REQUIRE(history.size() == 61);
    for (std::size_t i = 0; i < 60; ++i) {
      CHECK(history[i] == (i % 2 == 0 ? "ABC" : "DEF"));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "an object that the store refuses alone goes to the dead letters") {
    bucket.set_answer([](const Object& object) {
      return object.key.str() == "bad.jpg" ? refusal(Scope::object, 400, "KeyTooLongError")
                                           : FakeBucket::stored();
    });
    start();
    append("bad");
    append("good");
    CHECK(drained());
    CHECK(counted_once(DeadLetterReason::rejected_by_store));
    CHECK(bucket.objects().size() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "an ambiguous refusal is final only while others are stored") {
    std::atomic<bool> all_refused{true};
    bucket.set_answer([&](const Object& object) {
      return all_refused || object.key.str() == "bad.jpg" ? may_be_its_fault()
                                                          : FakeBucket::stored();
    });
    start();
    append("bad");
    append("good");
    CHECK(eventually([&] { return bucket.attempts() > 20; }));
    CHECK(spool->totals().waiting() == 2);  // perhaps the store is wrong, not the objects
    all_refused = false;
    for (int i = 0; i < 20; ++i) {
      append(std::to_string(i));
    }
    CHECK(eventually([&] {
      append("more");
      return spool->totals().dead_lettered == 1;
    }));
    CHECK(drained());
    CHECK(bucket.objects().contains("good.jpg"));
    CHECK_FALSE(bucket.objects().contains("bad.jpg"));
  }

  TEST_CASE_FIXTURE(Fixture,
                    "an ambiguous refusal that ends after some rounds makes no dead letter") {
    std::atomic<int> refusals{5};
    bucket.set_answer([&](const Object& object) {
      return object.key.str() == "good.jpg" && refusals-- > 0 ? may_be_its_fault()
                                                              : FakeBucket::stored();
    });
    start();
    append("good");
    CHECK(eventually([&] {
      append("more");  // each refusal is its own: others are stored in between
      return bucket.objects().contains("good.jpg");
    }));
    CHECK(drained());
    CHECK(spool->totals().dead_lettered == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "an object that fails alone comes round again and holds nobody up") {
    std::atomic<bool> mended{false};
    bucket.set_answer([&](const Object& object) {
      return object.key.str() == "ill.jpg" && !mended
                 ? refusal(Scope::ambiguous, 500, "InternalError")
                 : FakeBucket::stored();
    });
    start();
    append("ill", "QUJD");
    append("ill", "REVG");
    for (int i = 0; i < 100; ++i) {
      append(std::to_string(i));
    }
    CHECK(eventually([&] { return spool->totals().waiting() == 2; }));
    mended = true;
    CHECK(eventually([&] {
      append("more");  // the store must be seen well in between
      return bucket.objects().contains("ill.jpg") && bucket.history("ill.jpg").size() == 2;
    }));
    CHECK(bucket.objects().at("ill.jpg") == "DEF");
    CHECK(drained());
  }

  TEST_CASE_FIXTURE(Fixture, "a refused prefix holds up nobody, and goes once it is not refused") {
    options.in_flight_bytes = 64 << 10;  // much less than what is refused
    const std::string body(4000, 'A');
    std::atomic<bool> is_refused{true};
    std::atomic<int> requests{0};
    bucket.set_answer([&](const Object& object) {
      if (!object.key.str().starts_with("cam2/") || !is_refused) {
        return FakeBucket::stored();
      }
      ++requests;
      return denied();
    });
    for (int i = 0; i < 200; ++i) {
      append("cam2/" + std::to_string(i), body);
    }
    for (int i = 0; i < 50; ++i) {
      append("cam1/" + std::to_string(i), body);
    }
    start();
    CHECK(eventually([&] { return bucket.objects().size() == 50; }));
    CHECK(eventually([&] { return spool->totals().waiting() == 200; }));
    CHECK(pipeline->store_state() == StoreState::reachable);
    const std::vector<Refusal> refusals = pipeline->refusals();
    REQUIRE_FALSE(refusals.empty());
    CHECK(refusals.front().of == Refusal::Of::prefix);
    CHECK(refusals.front().prefix == "cam2/");
    CHECK(refusals.front().messages > 150);
    CHECK(refusals.front().cause.code == "AccessDenied");
    restart();
    append("cam1/later", body);
    CHECK(eventually([&] { return bucket.objects().contains("cam1/later.jpg"); }));
    is_refused = false;
    CHECK(drained());
    CHECK(bucket.objects().size() == 251);
    CHECK(spool->totals().dead_lettered == 0);
    CHECK(pipeline->refusals().empty());
  }

  TEST_CASE_FIXTURE(Fixture, "large objects that are refused hold up no small ones") {
    options.in_flight_bytes = 1 << 20;
    std::atomic<bool> is_refused{true};
    bucket.set_answer([&](const Object& object) {
      return object.body.size() > 200'000 && is_refused ? refusal(Scope::ambiguous, 413, "http_413")
                                                        : FakeBucket::stored();
    });
    for (int i = 0; i < 8; ++i) {
      append("large" + std::to_string(i), std::string(400'000, 'A'));
    }
    for (int i = 0; i < 40; ++i) {
      append("small" + std::to_string(i));
    }
    start();
    CHECK(eventually([&] { return bucket.objects().size() == 40; }));
    is_refused = false;
    CHECK(drained());
    CHECK(bucket.objects().size() == 48);
  }

  TEST_CASE_FIXTURE(Fixture, "when everything is refused, few requests go out") {
    options.backoff = {.base = 20ms, .cap = 50ms};
    std::atomic<bool> is_refused{true};
    bucket.set_answer([&](const Object&) { return is_refused ? denied() : FakeBucket::stored(); });
    for (int i = 0; i < 300; ++i) {
      append(std::to_string(i % 7) + "/" + std::to_string(i));
    }
    start();
    CHECK(eventually([&] { return pipeline->store_state() == StoreState::blocked; }));
    const int before = bucket.attempts();
    const auto began = std::chrono::steady_clock::now();
    CHECK(eventually([&] { return bucket.attempts() >= before + 10; }));
    // Full jitter: the pauses are 25 ms on average.
    CHECK(std::chrono::steady_clock::now() - began > 60ms);
    CHECK(spool->totals().waiting() == 300);
    is_refused = false;
    CHECK(drained());
    CHECK(spool->totals().dead_lettered == 0);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "objects that wait behind a postponed one of their key do not starve it") {
    options.in_flight_bytes = 1 << 20;
    const std::string big(600'000, 'A');
    std::atomic<bool> mended{false};
    std::atomic<int> ill_attempts{0};
    bucket.set_answer([&](const Object& object) {
      if (object.key.str() == "ill.jpg" && !mended) {
        ++ill_attempts;
        return refusal(Scope::ambiguous, 500, "InternalError");
      }
      return FakeBucket::stored();
    });
    start();
    append("ill", big);
    CHECK(eventually([&] {
      append("well");
      return ill_attempts >= 3;  // and now it is postponed
    }));
    append("ill", big);
    append("ill", big);
    append("ill", "TEFTVA==");
    CHECK(eventually([&] { return ill_attempts >= 4; }));  // it came round again
    mended = true;
    CHECK(drained());
    CHECK(bucket.objects().at("ill.jpg") == "LAST");
  }

  TEST_CASE_FIXTURE(Fixture,
                    "what is abandoned by a stop is delivered after the restart, in order") {
    std::atomic<bool> away{true};
    bucket.set_answer(
        [&](const Object&) { return away ? FakeBucket::away() : FakeBucket::stored(); });
    start();
    append("same", "QUJD");
    append("same", "REVG");
    for (int i = 0; i < 50; ++i) {
      append(std::to_string(i));
    }
    CHECK(eventually([&] { return bucket.attempts() > 3; }));
    const auto started = std::chrono::steady_clock::now();
    stop();
    CHECK(std::chrono::steady_clock::now() - started < 2s);
    CHECK(spool->totals().waiting() == 52);
    away = false;
    restart();
    CHECK(drained());
    CHECK(bucket.objects().size() == 51);
    CHECK(bucket.objects().at("same.jpg") == "DEF");
  }

  TEST_CASE_FIXTURE(Fixture, "an upload that runs when the stop comes is given its time") {
    std::atomic<bool> begun{false};
    bucket.set_answer([&](const Object&) {
      begun = true;
      std::this_thread::sleep_for(200ms);
      return FakeBucket::stored();
    });
    start();
    append("a");
    CHECK(eventually([&] { return begun.load(); }));
    stop(5s);
    CHECK(bucket.objects().contains("a.jpg"));
    CHECK(drained());
  }

  TEST_CASE_FIXTURE(Fixture, "a message over the limit is a dead letter") {
    options.max_message_bytes = 1000;
    start();
    append("big", std::string(2000, 'A'));
    append("small");
    CHECK(drained());
    CHECK(counted_once(DeadLetterReason::too_large));
    CHECK(bucket.objects().size() == 1);
  }

  /// Many small messages, and a store that takes batches; one by one it is slow, so that they queue
  /// up.
  struct BatchFixture : Fixture {
    static constexpr int kMessages = 300;
    std::atomic<std::size_t> largest{0};
    std::atomic<std::size_t> in_batches{0};

    BatchFixture() {
      options.uploaders = 2;
      for (int i = 0; i < kMessages; ++i) {
        append(std::to_string(i), "QUJD");
      }
      bucket.set_answer([](const Object&) {
        std::this_thread::sleep_for(2ms);
        return FakeBucket::stored();
      });
    }
    void answer_batches(const PutResult& result) {
      bucket.take_batches([this, result](std::size_t objects) {
        largest = std::max(largest.load(), objects);
        in_batches += objects;
        return result;
      });
    }
  };

  TEST_CASE_FIXTURE(BatchFixture, "small objects that queue up go in batches") {
    answer_batches(FakeBucket::stored());
    start();
    CHECK(drained());
    CHECK(bucket.objects().size() == kMessages);
    CHECK(largest >= 8);
    CHECK(largest <= kMessages / 2 + 1);  // two uploaders share them
    CHECK(pipeline->stats().uploads_stored() == kMessages);
    CHECK(pipeline->stats().uploaded_bytes == 3 * kMessages);
    CHECK(pipeline->stats().stored_in_batches == in_batches);
    CHECK(bucket.attempts() + static_cast<int>(in_batches) == kMessages);
  }

  TEST_CASE_FIXTURE(BatchFixture,
                    "what was in a batch that failed goes one by one, whatever failed") {
    answer_batches(refusal(Scope::object, 400, "InvalidArgument", "one of them"));
    start();
    CHECK(drained());
    CHECK(bucket.objects().size() == kMessages);
    CHECK(bucket.attempts() == kMessages);
    CHECK(in_batches <= kMessages);  // none of them twice
    CHECK(in_batches > 0);
    CHECK(spool->totals().dead_lettered == 0);
    CHECK(pipeline->store_state() == StoreState::reachable);
    CHECK(pipeline->stats().refusals().contains("InvalidArgument"));
  }

  TEST_CASE_FIXTURE(BatchFixture, "a batch that found no connection says nothing against batches") {
    options.uploaders = 1;  // no other one is under way when the first fails
    std::atomic<int> batches{0};
    bucket.take_batches([&](std::size_t objects) {
      if (++batches == 1) {
        PutResult unsent = refusal(Scope::path, 0, "could_not_connect");
        unsent.is_unsent = true;
        return unsent;
      }
      in_batches += objects;
      return FakeBucket::stored();
    });
    start();
    CHECK(drained());
    CHECK(bucket.objects().size() == kMessages);
    CHECK(batches > 1);
    CHECK(pipeline->stats().stored_in_batches == in_batches);
    CHECK(in_batches + static_cast<std::size_t>(bucket.attempts()) == kMessages);
    CHECK(pipeline->stats().refusals().contains("could_not_connect"));
  }

  TEST_CASE_FIXTURE(BatchFixture,
                    "a large object between the small ones goes on its own, at once") {
    append("large", std::string(400, 'A'));
    for (int i = 0; i < kMessages; ++i) {
      append("later" + std::to_string(i), "QUJD");
    }
    answer_batches(FakeBucket::stored());
    start();
    CHECK(drained());
    CHECK(bucket.objects().size() == 2 * kMessages + 1);
    CHECK(largest >= 8);
    CHECK(bucket.objects().at("large.jpg").size() == 300);
  }

  TEST_CASE_FIXTURE(BatchFixture, "in one batch no key is twice, and the later message wins") {
    for (int i = 0; i < kMessages; ++i) {
      append(std::to_string(i), "REVG");
    }
    answer_batches(FakeBucket::stored());
    start();
    CHECK(drained());
    CHECK(bucket.objects().size() == kMessages);
    for (const auto& [key, body] : bucket.objects()) {
      CHECK(body == "DEF");
      CHECK(bucket.history(key).size() == 2);
    }
  }

  TEST_CASE_FIXTURE(BatchFixture, "who does not want batches gets none") {
    options.batches = false;
    answer_batches(FakeBucket::stored());
    start();
    CHECK(drained());
    CHECK(in_batches == 0);
  }

  /// A backlog of 40 that does not fit between spool and store, and whose uploads take as long as
  /// the test wants, unlike those of what comes in later.
  struct LiveFixture : Fixture {
    static constexpr int kBacklog = 40;
    std::counting_semaphore<> may_put{0};
    std::mutex mutex;  // guards what follows
    std::vector<std::string> put;
    std::map<std::string, PutResult> failures;  // of a key, once

    LiveFixture() {
      options.in_flight_bytes = 10'000;  // four of them
      bucket.set_answer([this](const Object& object) {
        if (object.body == "ABC") {
          may_put.acquire();
        }
        const std::lock_guard lock(mutex);
        put.push_back(object.key.str());
        const auto failure = failures.extract(object.key.str());
        return failure ? failure.mapped() : FakeBucket::stored();
      });
      for (int i = 0; i < kBacklog; ++i) {
        append("backlog" + std::to_string(i), "QUJD");
      }
    }
    ~LiveFixture() { let_all(); }

    void let_all() { may_put.release(1000); }
    [[nodiscard]] int times_put(const std::string& key) {
      const std::lock_guard lock(mutex);
      return static_cast<int>(std::count(put.begin(), put.end(), key));
    }
    /// One of the backlog is stored, so that the store is known to be well, and four are under way.
    void start() {
      Fixture::start();
      may_put.release();
      CHECK(eventually([&] { return bucket.attempts() == 5; }));
    }
    void append_live(const std::string& image_id) { append(image_id, "REVG"); }
    [[nodiscard]] bool goes_ahead(const std::string& key) {
      const bool seen = eventually([&] { return times_put(key) == 1; });
      const std::lock_guard lock(mutex);
      return seen && put.size() == 2;
    }
  };

  TEST_CASE_FIXTURE(LiveFixture, "what comes in goes ahead of a backlog, and once") {
    start();
    append_live("live");
    CHECK(goes_ahead("live.jpg"));
    CHECK(eventually([&] { return pipeline->stats().stored_live == 1; }));
    CHECK(spool->totals().waiting() >= kBacklog);
    let_all();
    CHECK(drained());
    CHECK(times_put("live.jpg") == 1);
    CHECK(bucket.objects().size() == kBacklog + 1);
    CHECK(spool->totals().stored == kBacklog + 1);
    CHECK(pipeline->stats().uploads_stored() == kBacklog + 1);
  }

  TEST_CASE_FIXTURE(LiveFixture, "one that went ahead of an earlier one of its key is put again") {
    start();
    append_live("backlog38");
    CHECK(goes_ahead("backlog38.jpg"));
    let_all();
    CHECK(drained());
    CHECK(bucket.history("backlog38.jpg") == std::vector<std::string>{"DEF", "ABC", "DEF"});
    CHECK(spool->totals().stored == kBacklog + 1);
  }

  TEST_CASE_FIXTURE(LiveFixture, "one that fails ahead of its turn gets its turn") {
    SUBCASE("refused") { failures["live.jpg"] = refusal(Scope::object, 400, "KeyTooLongError"); }
    SUBCASE("the store busy") { failures["live.jpg"] = FakeBucket::away(); }
    start();
    append_live("live");
    CHECK(goes_ahead("live.jpg"));
    let_all();
    CHECK(drained());
    CHECK(times_put("live.jpg") == 2);
    CHECK(bucket.objects().size() == kBacklog + 1);
    CHECK(pipeline->stats().stored_live == 0);
    CHECK(spool->totals().dead_lettered == 0);
  }

  TEST_CASE_FIXTURE(LiveFixture, "a bad message behind a backlog is buried once, at its turn") {
    start();
    append_durably(*spool, "ia/x", "not json");
    append_live("live");
    CHECK(goes_ahead("live.jpg"));
    CHECK(spool->totals().dead_lettered == 0);
    let_all();
    CHECK(drained());
    CHECK(counted_once(DeadLetterReason::not_json));
    CHECK(spool->totals().dead_lettered == 1);
    CHECK(spool->totals().stored == kBacklog + 1);
  }

  TEST_CASE_FIXTURE(LiveFixture, "without a share all go in the order of arrival") {
    options.live_percent = 0;
    start();
    append_live("live");
    let_all();
    CHECK(drained());
    CHECK(pipeline->stats().stored_live == 0);
    // It does not wait for a permit, and so may overtake those that it was under way with.
    CHECK(std::find(put.end() - 5, put.end(), "live.jpg") != put.end());
  }

  TEST_CASE_FIXTURE(LiveFixture, "what went ahead and waits for its turn survives a restart") {
    start();
    append_live("live");
    CHECK(goes_ahead("live.jpg"));
    let_all();
    restart();
    CHECK(drained());
    CHECK(bucket.objects().size() == kBacklog + 1);
    CHECK(spool->totals().stored == kBacklog + 1);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a message whose key is missing waits, with those behind it, and goes later") {
    spool.reset();
    spool_options.keys = test::key_ring(test::kOneKey);
    spool.emplace(spool_options);
    append("first");
    spool.reset();
    spool_options.keys = test::key_ring(test::kAnotherKey);
    spool.emplace(spool_options);
    append("second");
    start();
    CHECK(eventually([&] { return pipeline->stats().missing_key.load() == KeyId{0x9f1af927}; }));
    CHECK(spool->totals().waiting() == 2);
    CHECK(spool->dead_letters_kept() == 0);
    spool_options.keys = test::key_ring(test::kAnotherKey + "\n" + test::kOneKey);
    restart();
    CHECK(drained());
    CHECK(spool->totals().stored == 2);
    CHECK_FALSE(pipeline->stats().missing_key.load());
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a message whose key is lost becomes a dead letter and holds up none") {
    spool.reset();
    spool_options.keys = test::key_ring(test::kOneKey);
    spool.emplace(spool_options);
    append("first");
    spool.reset();
    spool_options.keys = test::key_ring(test::kAnotherKey + "\nlost 9f1af927");
    spool.emplace(spool_options);
    append("second");
    start();
    CHECK(drained());
    CHECK(counted_once(DeadLetterReason::key_lost));
    CHECK(spool->totals().stored == 1);
    CHECK(spool->describe_letters(SpoolId{0}, 1)->at(0).rejection.detail ==
          "encrypted with key 9f1af927");
  }
}

}  // namespace
