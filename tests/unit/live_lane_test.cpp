#include "pipeline/live_lane.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <string>

namespace {

TEST_SUITE("live_lane") {
  using m2b::LiveLane;
  using m2b::SpoolId;
  using State = LiveLane::State;

  std::uint64_t key(const std::string& name) { return std::hash<std::string>{}(name); }

  TEST_CASE("one that was stored holds until its turn is over") {
    LiveLane live(10);
    CHECK(live.state(SpoolId{7}) == State::none);
    live.begin(SpoolId{7});
    CHECK(live.state(SpoolId{7}) == State::running);
    CHECK(live.claim(SpoolId{7}, key("a")));
    live.end(SpoolId{7}, /*stored=*/true);
    CHECK(live.state(SpoolId{7}) == State::stored);
    CHECK(live.state(SpoolId{6}) == State::none);
    live.forget(SpoolId{7});
    CHECK(live.state(SpoolId{7}) == State::none);
  }

  TEST_CASE("one that was not stored goes the usual way, with or without a key") {
    LiveLane live(10);
    live.begin(SpoolId{1});
    live.end(SpoolId{1}, /*stored=*/false);
    CHECK(live.state(SpoolId{1}) == State::none);
    live.begin(SpoolId{2});
    REQUIRE(live.claim(SpoolId{2}, key("a")));
    live.end(SpoolId{2}, /*stored=*/false);
    CHECK(live.state(SpoolId{2}) == State::none);
    live.begin(SpoolId{3});
    CHECK(live.claim(SpoolId{3}, key("a")));  // the key is free again
  }

  TEST_CASE("another object under its key takes its worth") {
    LiveLane live(10);
    for (std::uint64_t id = 1; id <= 3; ++id) {
      live.begin(SpoolId{id});
      REQUIRE(live.claim(SpoolId{id}, key(std::to_string(id))));
    }
    SUBCASE("after it was stored") {
      live.end(SpoolId{2}, /*stored=*/true);
      live.overwrite(key("2"));
    }
    SUBCASE("while it is uploaded") {
      live.overwrite(key("2"));
      CHECK(live.state(SpoolId{2}) == State::running);
      live.end(SpoolId{2}, /*stored=*/true);
    }
    CHECK(live.state(SpoolId{2}) == State::none);
    live.overwrite(key("another"));
    live.end(SpoolId{1}, /*stored=*/true);
    CHECK(live.state(SpoolId{1}) == State::stored);
    CHECK(live.state(SpoolId{3}) == State::running);
  }

  TEST_CASE("of two with the same key the later one waits for its turn") {
    LiveLane live(10);
    live.begin(SpoolId{1});
    live.begin(SpoolId{2});
    REQUIRE(live.claim(SpoolId{2}, key("same")));
    CHECK_FALSE(live.claim(SpoolId{1}, key("same")));
    live.end(SpoolId{1}, /*stored=*/false);
    live.end(SpoolId{2}, /*stored=*/true);
    CHECK(live.state(SpoolId{2}) == State::stored);
  }

  TEST_CASE("one whose turn never came does not stay for ever") {
    LiveLane live(2);
    for (std::uint64_t id = 1; id <= 2; ++id) {
      live.begin(SpoolId{id});
      REQUIRE(live.claim(SpoolId{id}, key(std::to_string(id))));
      live.end(SpoolId{id}, /*stored=*/true);
    }
    CHECK_FALSE(live.has_room());
    live.forget(SpoolId{2});
    CHECK(live.has_room());
    live.begin(SpoolId{3});
    CHECK(live.has_room());
    CHECK(live.claim(SpoolId{3}, key("1")));
  }

  TEST_CASE("room is given back by the turn, whatever became of the upload") {
    LiveLane live(2);
    live.begin(SpoolId{1});
    CHECK(live.has_room());
    live.begin(SpoolId{2});
    CHECK_FALSE(live.has_room());
    live.end(SpoolId{2}, /*stored=*/false);
    CHECK_FALSE(live.has_room());  // behind one that is still needed
    live.end(SpoolId{1}, /*stored=*/false);
    CHECK(live.has_room());
  }
}

}  // namespace
