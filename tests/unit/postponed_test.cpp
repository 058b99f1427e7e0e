#include "pipeline/postponed.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace {

TEST_SUITE("postponed") {
  using namespace m2b;
  using namespace std::chrono_literals;

  Delivery delivery(std::uint64_t id) {
    Delivery made{.id = SpoolId{id}, .budget_bytes = 10, .is_solo = true, .is_probe = true};
    made.set_object(std::make_shared<const Object>(
        Object{std::get<ObjectKey>(ObjectKey::from_image_id("a")), "", "", {}}));
    return made;
  }
  std::uint64_t id_of(const std::optional<Delivery>& one) { return one ? to_number(one->id) : 0; }

  const Postponed::Time start{1h};

  TEST_CASE("what waits holds no memory, and keeps its key") {
    Postponed postponed;
    postponed.wait_for("/a/", delivery(1));
    postponed.wait_until(start, delivery(2));
    postponed.release(delivery(3));
    CHECK(postponed.size() == 3);
    CHECK(postponed.size_unreleased() == 2);
    CHECK(postponed.size_of("/a/") == 1);
    for (const auto& taken :
         {postponed.take_of("/a/"), postponed.take_due(start), postponed.take_released()}) {
      REQUIRE(taken);
      CHECK_FALSE(taken->object);
      CHECK(taken->budget_bytes == 0);
      CHECK_FALSE(taken->is_solo);
      CHECK_FALSE(taken->is_probe);
      CHECK(taken->key_hash == delivery(1).key_hash);
    }
    CHECK(postponed.size() == 0);
  }

  TEST_CASE("of a group, the newest and the oldest by turns") {
    Postponed postponed;
    for (std::uint64_t id = 1; id <= 5; ++id) {
      postponed.wait_for("/a/", delivery(id));
    }
    CHECK(postponed.size_of("/a/") == 5);
    CHECK_FALSE(postponed.take_of("/b/"));
    for (const std::uint64_t id : {5, 1, 4, 2, 3, 0}) {
      CHECK(id_of(postponed.take_of("/a/")) == id);
    }
  }

  Delivery refused(std::uint64_t id) {
    Delivery made = delivery(id);
    made.history.refusals = 1;
    return made;
  }

  TEST_CASE("those that were refused come behind those that were not, and one after the other") {
    Postponed postponed;
    postponed.wait_for("/a/", refused(1));
    postponed.wait_for("/a/", delivery(2));
    postponed.wait_for("/a/", refused(3));
    postponed.wait_until(start, refused(4));
    postponed.wait_for("/b/", refused(5));
    CHECK(postponed.size_of("/a/") == 3);
    for (const std::uint64_t id : {2, 5, 4, 1}) {
      CHECK(id_of(postponed.take_any()) == id);
    }
    postponed.wait_for("/a/", refused(1));
    postponed.wait_for("/a/", delivery(6));
    for (const std::uint64_t id : {6, 3, 1, 0}) {
      CHECK(id_of(postponed.take_of("/a/")) == id);
    }
    postponed.wait_for("/a/", refused(1));
    postponed.wait_for("/a/", delivery(6));
    postponed.release("/a/");
    CHECK(id_of(postponed.take_released()) == 6);
    CHECK(id_of(postponed.take_released()) == 1);
  }

  TEST_CASE("a group whose reason is over may go, in its order, behind those released before") {
    Postponed postponed;
    CHECK(postponed.first_released() == nullptr);
    postponed.release(delivery(9));
    postponed.wait_for("/a/", delivery(1));
    postponed.wait_for("/a/", delivery(2));
    postponed.release("/a/");
    postponed.release("/b/");
    CHECK(postponed.size_of("/a/") == 0);
    CHECK(postponed.size_unreleased() == 0);
    for (const std::uint64_t id : {9, 1, 2}) {
      REQUIRE(postponed.first_released() != nullptr);
      CHECK(to_number(postponed.first_released()->id) == id);
      CHECK(id_of(postponed.take_released()) == id);
    }
    CHECK_FALSE(postponed.take_released());
  }

  TEST_CASE("who waits alone comes at its time, the earliest first") {
    Postponed postponed;
    CHECK_FALSE(postponed.next_due());
    postponed.wait_until(start + 2s, delivery(2));
    postponed.wait_until(start + 1s, delivery(1));
    CHECK(postponed.next_due() == start + 1s);
    CHECK_FALSE(postponed.take_due(start));
    CHECK(id_of(postponed.take_due(start + 1s)) == 1);
    postponed.hurry_next(start);
    CHECK(id_of(postponed.take_due(start)) == 2);
    postponed.hurry_next(start);
    CHECK_FALSE(postponed.next_due());
  }

  TEST_CASE("any: of each group in turn, and of those alone") {
    Postponed postponed;
    CHECK_FALSE(postponed.take_any());
    for (std::uint64_t id = 1; id <= 2; ++id) {
      postponed.wait_for("/a/", delivery(10 + id));
      postponed.wait_for("/b/", delivery(20 + id));
      postponed.wait_until(start + id * 1s, delivery(30 + id));
    }
    for (const std::uint64_t id : {12, 22, 11, 21, 31, 32, 0}) {
      CHECK(id_of(postponed.take_any()) == id);
    }
    for (std::uint64_t id = 1; id <= 3; ++id) {
      postponed.wait_for("#17", delivery(10 + id));
      postponed.wait_for("/b/", delivery(20 + id));
    }
    postponed.prefer(CircuitBreakers::kEverything);
    for (const std::uint64_t id : {13, 11, 12, 23, 21, 22, 0}) {
      CHECK(id_of(postponed.take_any()) == id);
    }
  }
}

}  // namespace
