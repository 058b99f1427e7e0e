#include "pipeline/in_flight.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace {

/// Single steps; in_flight_exploration_test tries all interleavings.
TEST_SUITE("in_flight") {
  using namespace m2b;
  using namespace std::chrono_literals;

  struct Fixture {
    static constexpr std::size_t kBudgetBytes = 10;

    InFlight in_flight{{.live_percent = 50,
                        .probes = {.base = 200ms, .cap = 8s},
                        .retry = {.postponement = {.base = 1s, .cap = 5min}}},
                       1};
    InFlight::Time now{1h};
    std::uint64_t last_id = 0;
    std::size_t freed_bytes = 0;
    const PutResult denied = refusal(Scope::ambiguous, 403, "AccessDenied");
    const PutResult busy = refusal(Scope::store, 503, "SlowDown");

    static std::shared_ptr<const Object> object(const std::string& image_id, std::size_t bytes) {
      return std::make_shared<const Object>(
          Object{std::get<ObjectKey>(ObjectKey::from_image_id(image_id)),
                 std::string(bytes, 'x'),
                 "",
                 {}});
    }
    /// It comes into flight and is decoded.
    void add(const std::string& image_id, std::size_t bytes = 1000) {
      InFlight::Steps steps;
      in_flight.admit({.id = SpoolId{++last_id}, .budget_bytes = kBudgetBytes}, steps);
      REQUIRE(steps.to_decode.size() == 1);
      decode(steps.to_decode.front(), image_id, bytes);
    }
    void decode(Delivery delivery, const std::string& image_id, std::size_t bytes = 1000) {
      delivery.set_object(object(image_id, bytes));
      InFlight::Steps steps;
      in_flight.decoded(std::move(delivery), steps);
      freed_bytes += steps.freed_bytes;
    }
    std::optional<Delivery> next() { return in_flight.next_upload(/*only_live=*/false, now); }
    RetryAction end(Delivery delivery, const PutResult& result) {
      InFlight::Steps steps;
      const RetryAction action = in_flight.ended(delivery, result, now, steps);
      if (action == RetryAction::remove) {
        in_flight.removed(delivery, now, steps);
      }
      freed_bytes += steps.freed_bytes;
      return action;
    }
    /// The next three are refused, which opens the breakers of all that they have in common.
    void refuse_three(const PutResult& result) {
      for (int i = 0; i < 3; ++i) {
        auto delivery = next();
        REQUIRE(delivery);
        static_cast<void>(end(*std::move(delivery), result));
      }
    }
    static std::string key_of(const std::optional<Delivery>& delivery) {
      return delivery ? delivery->object->key.str() : "";
    }
  };

  TEST_CASE_FIXTURE(Fixture, "what is refused leaves memory and budget, and so do others like it") {
    for (int i = 0; i < 10; ++i) {
      add("cam2/" + std::to_string(i));
    }
    refuse_three(denied);
    CHECK(in_flight.breakers().all_open());
    CHECK(in_flight.lanes().size() == 0);
    CHECK(in_flight.postponed().size() == 10);
    CHECK(freed_bytes == 10 * kBudgetBytes);
    add("cam2/later");
    CHECK(freed_bytes == 11 * kBudgetBytes);
    CHECK(in_flight.may_admit());
  }

  TEST_CASE_FIXTURE(Fixture,
                    "one that has less in common with the refused is the next probe, soon") {
    for (int i = 0; i < 10; ++i) {
      add("cam2/" + std::to_string(i));
    }
    refuse_three(denied);
    for (int round = 0; round < 9; ++round) {  // until the pauses are long
      now += 1min;
      auto probe = in_flight.take_solo(now);
      REQUIRE(probe);
      CHECK_FALSE(in_flight.take_solo(now));
      decode(*std::move(probe), "cam2/" + std::to_string(round));
      static_cast<void>(end(*next(), denied));
    }
    add("large/1", 5 << 20);
    CHECK(in_flight.next_upload_at().value() <= now + 200ms);
    now += 200ms;
    auto probe = next();
    REQUIRE(key_of(probe) == "large/1.jpg");
    CHECK(end(*std::move(probe), stored_result()) == RetryAction::remove);
    CHECK_FALSE(in_flight.breakers().all_open());
    CHECK(in_flight.breakers().is_open("/cam2/"));
  }

  TEST_CASE_FIXTURE(Fixture, "a stored one releases its group, which is read again in its order") {
    for (int i = 0; i < 5; ++i) {
      add("cam2/" + std::to_string(i));
    }
    refuse_three(denied);
    now += 1s;
    auto probe = in_flight.take_solo(now);
    REQUIRE(probe);
    const std::uint64_t probed = to_number(probe->id);
    decode(*std::move(probe), "cam2/" + std::to_string(probed - 1));
    CHECK(end(*next(), stored_result()) == RetryAction::remove);
    CHECK_FALSE(in_flight.may_admit());  // they come first
    std::size_t released = 0;
    while (in_flight.first_released() != nullptr) {
      CHECK(to_number(in_flight.take_released()->id) != probed);
      ++released;
    }
    CHECK(in_flight.postponed().size_of("/cam2/") == 0);
    CHECK(released + in_flight.postponed().size_unreleased() == 4);
    CHECK(in_flight.may_admit());
  }

  TEST_CASE_FIXTURE(Fixture, "a busy store is no reason to read the whole backlog") {
    for (int i = 0; i < 600; ++i) {
      add("cam2/" + std::to_string(i));
    }
    for (int i = 0; i < 3; ++i) {
      now += 10s;
      static_cast<void>(end(*next(), busy));
    }
    CHECK(in_flight.breakers().is_open("/cam2/"));
    CHECK(in_flight.postponed().size() >= 256);
    CHECK(in_flight.postponed().size() < 300);
    CHECK(in_flight.lanes().size() > 300);
  }

  TEST_CASE_FIXTURE(Fixture, "one that is refused alone comes round alone, and rests for longer") {
    add("bad");
    static_cast<void>(end(*next(), denied));
    add("good");
    static_cast<void>(end(*next(), stored_result()));
    CHECK(in_flight.refused_alone()->deliveries == 1);
    CHECK_FALSE(in_flight.take_solo(now));
    now += 1s;
    auto solo = in_flight.take_solo(now);
    REQUIRE(solo);
    CHECK(solo->budget_bytes == 0);
    decode(*std::move(solo), "bad");
    now += 500ms;
    static_cast<void>(end(*next(), denied));
    // 1 s by its own pause, 2 s by the rest that all of its kind take.
    CHECK(in_flight.next_solo_at() == now + 2s);
  }

  TEST_CASE_FIXTURE(Fixture, "a question to the store is a probe like any other") {
    CHECK(in_flight.begin_ask(now));
    InFlight::Steps steps;
    in_flight.asked(busy, now, steps);
    CHECK(in_flight.breakers().all_open());
    now += 1min;
    add("a");
    CHECK(in_flight.begin_ask(now));
    CHECK_FALSE(next());
    in_flight.asked(stored_result(), now, steps);
    CHECK(key_of(next()) == "a.jpg");
  }

  TEST_CASE_FIXTURE(Fixture, "a dead letter is refused without waiting for its turn anywhere") {
    InFlight::Steps steps;
    Delivery letter{.id = SpoolId{7}, .lane = Lane::dead_letter};
    letter.set_object(object("dead/7", 10));
    in_flight.add_dead_letter(letter, steps);
    CHECK(end(*next(), denied) == RetryAction::retry_later);
    CHECK(in_flight.postponed().size() == 0);
    CHECK(in_flight.lanes().size() == 0);
  }
}

}  // namespace
