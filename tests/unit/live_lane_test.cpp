#include "pipeline/early_uploads.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <variant>

namespace {

TEST_SUITE("early_uploads") {
  using m2b::EarlyUploads;
  using m2b::ObjectKey;
  using m2b::SpoolId;
  using State = EarlyUploads::State;

  ObjectKey key(const std::string& image_id) {
    return std::get<ObjectKey>(ObjectKey::from_image_id(image_id));
  }

  TEST_CASE("one that was stored holds until its turn is over") {
    EarlyUploads early(10);
    CHECK(early.state(SpoolId{7}) == State::none);
    early.begin(SpoolId{7});
    CHECK(early.state(SpoolId{7}) == State::running);
    CHECK(early.claim(SpoolId{7}, key("a")));
    early.end(SpoolId{7}, /*stored=*/true);
    CHECK(early.state(SpoolId{7}) == State::stored);
    CHECK(early.state(SpoolId{6}) == State::none);
    early.forget(SpoolId{7});
    CHECK(early.state(SpoolId{7}) == State::none);
  }

  TEST_CASE("one that was not stored goes the usual way, with or without a key") {
    EarlyUploads early(10);
    early.begin(SpoolId{1});
    early.end(SpoolId{1}, /*stored=*/false);
    CHECK(early.state(SpoolId{1}) == State::none);
    early.begin(SpoolId{2});
    REQUIRE(early.claim(SpoolId{2}, key("a")));
    early.end(SpoolId{2}, /*stored=*/false);
    CHECK(early.state(SpoolId{2}) == State::none);
    early.begin(SpoolId{3});
    CHECK(early.claim(SpoolId{3}, key("a")));  // the key is free again
  }

  TEST_CASE("another object under its key takes its worth") {
    EarlyUploads early(10);
    for (std::uint64_t id = 1; id <= 3; ++id) {
      early.begin(SpoolId{id});
      REQUIRE(early.claim(SpoolId{id}, key(std::to_string(id))));
    }
    SUBCASE("after it was stored") {
      early.end(SpoolId{2}, /*stored=*/true);
      early.overwrite(key("2"));
    }
    SUBCASE("while it is uploaded") {
      early.overwrite(key("2"));
      CHECK(early.state(SpoolId{2}) == State::running);
      early.end(SpoolId{2}, /*stored=*/true);
    }
    CHECK(early.state(SpoolId{2}) == State::none);
    early.overwrite(key("another"));
    early.end(SpoolId{1}, /*stored=*/true);
    CHECK(early.state(SpoolId{1}) == State::stored);
    CHECK(early.state(SpoolId{3}) == State::running);
  }

  TEST_CASE("of two with the same key the later one waits for its turn") {
    EarlyUploads early(10);
    early.begin(SpoolId{1});
    early.begin(SpoolId{2});
    REQUIRE(early.claim(SpoolId{2}, key("same")));
    CHECK_FALSE(early.claim(SpoolId{1}, key("same")));
    early.end(SpoolId{1}, /*stored=*/false);
    early.end(SpoolId{2}, /*stored=*/true);
    CHECK(early.state(SpoolId{2}) == State::stored);
  }

  TEST_CASE("one whose turn never came does not stay for ever") {
    EarlyUploads early(2);
    for (std::uint64_t id = 1; id <= 2; ++id) {
      early.begin(SpoolId{id});
      REQUIRE(early.claim(SpoolId{id}, key(std::to_string(id))));
      early.end(SpoolId{id}, /*stored=*/true);
    }
    CHECK_FALSE(early.has_room());
    early.forget(SpoolId{2});
    CHECK(early.has_room());
    early.begin(SpoolId{3});
    CHECK(early.has_room());
    CHECK(early.claim(SpoolId{3}, key("1")));
  }

  TEST_CASE("room is given back by the turn, whatever became of the upload") {
    EarlyUploads early(2);
    early.begin(SpoolId{1});
    CHECK(early.has_room());
    early.begin(SpoolId{2});
    CHECK_FALSE(early.has_room());
    early.end(SpoolId{2}, /*stored=*/false);
    CHECK_FALSE(early.has_room());  // behind one that is still needed
    early.end(SpoolId{1}, /*stored=*/false);
    CHECK(early.has_room());
  }
}

}  // namespace
