#include "pipeline/upload_lanes.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

namespace {

TEST_SUITE("upload_lanes") {
  using namespace m2b;

  Delivery delivery(std::uint64_t id, Lane lane, std::size_t bytes = 100) {
    auto key = std::get<ObjectKey>(ObjectKey::from_image_id(std::to_string(id)));
    Delivery made;
    made.id = SpoolId{id};
    made.lane = lane;
    made.set_object(
        std::make_shared<const Object>(Object{std::move(key), std::string(bytes, 'x'), "", {}}));
    return made;
  }

  /// How many of the next ones are live, while both lanes always have some.
  int live_of(UploadLanes & lanes, int count, std::size_t live_bytes, std::size_t other_bytes) {
    int live = 0;
    lanes.push(delivery(1, Lane::live, live_bytes));
    lanes.push(delivery(2, Lane::in_turn, other_bytes));
    for (int i = 0; i < count; ++i) {
      const auto popped = lanes.pop();
      REQUIRE(popped);
      live += popped->lane == Lane::live ? 1 : 0;
      lanes.push(delivery(3, popped->lane, popped->lane == Lane::live ? live_bytes : other_bytes));
    }
    return live;
  }

  TEST_CASE("each lane is first in, first out, and the live one goes first") {
    UploadLanes lanes(50);
    for (std::uint64_t id = 1; id <= 4; ++id) {
      lanes.push(delivery(id, id > 2 ? Lane::live : Lane::in_turn));
    }
    CHECK(lanes.size() == 4);
    CHECK(lanes.size_of(Lane::live) == 2);
    CHECK(lanes.size_of(Lane::in_turn) == 2);
    for (const std::uint64_t id : {3, 4, 1, 2}) {
      CHECK(to_number(lanes.pop()->id) == id);
    }
    CHECK(lanes.size() == 0);
  }

  TEST_CASE("while both have some, the live lane gets its share of the bytes, 2 MiB in advance") {
    constexpr std::size_t kBytes = 100'000;
    int live = 0;
    int expected = 0;
    SUBCASE("a half") {
      UploadLanes lanes(50);
      live = live_of(lanes, 1000, kBytes, kBytes);
      expected = 500;
    }
    SUBCASE("a fifth") {
      UploadLanes lanes(20);
      live = live_of(lanes, 1000, kBytes, kBytes);
      expected = 200;
    }
    SUBCASE("a half of the bytes, in larger objects") {
      UploadLanes lanes(50);
      live = live_of(lanes, 1000, 4 * kBytes, kBytes);
      expected = 200;
    }
    SUBCASE("all") {
      UploadLanes lanes(100);
      live = live_of(lanes, 1000, kBytes, kBytes);
      expected = 1000;
    }
    CHECK(live >= expected);
    CHECK(live <= expected + 50);
  }

  TEST_CASE("a share that was not used is not had later") {
    UploadLanes lanes(50);
    for (int i = 0; i < 100; ++i) {
      lanes.push(delivery(1, Lane::in_turn, 1'000'000));
      CHECK(lanes.pop()->lane == Lane::in_turn);
    }
    CHECK(live_of(lanes, 200, 1'000'000, 1'000'000) <= 105);
  }

  TEST_CASE("it tells how much waits for its turn") {
    UploadLanes lanes(50);
    CHECK(lanes.bytes_in_turn() == 0);
    lanes.push(delivery(1, Lane::in_turn, 70));
    lanes.push(delivery(2, Lane::live, 100));
    lanes.push(delivery(3, Lane::in_turn, 7));
    CHECK(lanes.bytes_in_turn() == 77);
    CHECK(lanes.pop_of(Lane::in_turn));
    CHECK(lanes.bytes_in_turn() == 7);
  }

  TEST_CASE("one lane can be asked alone") {
    UploadLanes lanes(50);
    lanes.push(delivery(1, Lane::in_turn));
    CHECK_FALSE(lanes.pop_of(Lane::live));
    CHECK(to_number(lanes.pop_of(Lane::in_turn)->id) == 1);
    CHECK_FALSE(lanes.pop_of(Lane::in_turn));
  }

  TEST_CASE("live ones may go until they have had their share") {
    UploadLanes lanes(50);
    CHECK_FALSE(lanes.pop_live());
    lanes.push(delivery(1, Lane::in_turn));
    CHECK_FALSE(lanes.live_may_go());
    lanes.push(delivery(2, Lane::live, 9'000'000));
    CHECK(to_number(lanes.pop_live()->id) == 2);
    lanes.push(delivery(3, Lane::live));
    CHECK_FALSE(lanes.live_may_go());
    CHECK_FALSE(lanes.pop_live());
    CHECK(to_number(lanes.pop()->id) == 1);
    CHECK(to_number(lanes.pop_live()->id) == 3);  // with the other lane empty
  }

  TEST_CASE("the lowest in rank is found, a live one before the others") {
    UploadLanes lanes(50);
    const auto by_size = [](const Delivery& one) { return one.object->body.size(); };
    CHECK_FALSE(lanes.pop_lowest(by_size));
    lanes.push(delivery(1, Lane::in_turn, 30));
    lanes.push(delivery(2, Lane::in_turn, 10));
    lanes.push(delivery(3, Lane::in_turn, 10));
    lanes.push(delivery(4, Lane::live, 10));
    for (const std::uint64_t id : {4, 2, 3, 1}) {
      CHECK(to_number(lanes.pop_lowest(by_size)->id) == id);
    }
    CHECK(lanes.bytes_in_turn() == 0);
  }

  TEST_CASE("some can be taken out, the others keep their order") {
    UploadLanes lanes(50);
    for (std::uint64_t id = 1; id <= 6; ++id) {
      lanes.push(delivery(id, id > 3 ? Lane::live : Lane::in_turn));
    }
    const auto removed =
        lanes.remove_if([](const Delivery& one) { return to_number(one.id) % 2 == 0; });
    CHECK(removed.size() == 3);
    CHECK(lanes.bytes_in_turn() == 200);
    CHECK(to_number(lanes.pop_of(Lane::in_turn)->id) == 1);
    CHECK(to_number(lanes.pop_of(Lane::in_turn)->id) == 3);
    CHECK(to_number(lanes.pop_of(Lane::live)->id) == 5);
    CHECK(lanes.size() == 0);
  }
}

}  // namespace
