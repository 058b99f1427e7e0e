#include "pipeline/upload_queue.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <variant>

namespace {

TEST_SUITE("upload_queue") {
  using namespace m2b;

  UploadJob job(std::uint64_t id, bool early, std::size_t bytes = 100) {
    auto key = std::get<ObjectKey>(ObjectKey::from_image_id(std::to_string(id)));
    UploadJob made;
    made.id = SpoolId{id};
    made.early = early;
    made.object = std::make_unique<Object>(Object{std::move(key), std::string(bytes, 'x'), "", {}});
    return made;
  }

  /// How many of the next ones are early, while both lanes always have some.
  int early_of(UploadQueue & queue, int count, std::size_t early_bytes, std::size_t other_bytes) {
    int early = 0;
    queue.push(job(1, true, early_bytes));
    queue.push(job(2, false, other_bytes));
    for (int i = 0; i < count; ++i) {
      const auto popped = queue.pop();
      REQUIRE(popped);
      early += popped->early ? 1 : 0;
      queue.push(job(3, popped->early, popped->early ? early_bytes : other_bytes));
    }
    return early;
  }

  TEST_CASE("each lane is first in, first out, and the early one goes first") {
    UploadQueue queue(50);
    for (std::uint64_t id = 1; id <= 4; ++id) {
      queue.push(job(id, id > 2));
    }
    CHECK(queue.size() == 4);
    CHECK(queue.size(/*early=*/true) == 2);
    CHECK(queue.size(/*early=*/false) == 2);
    CHECK(to_number(queue.pop()->id) == 3);
    CHECK(to_number(queue.pop()->id) == 1);
    CHECK(to_number(queue.pop()->id) == 4);
    CHECK(to_number(queue.pop()->id) == 2);
    CHECK(queue.size() == 0);
  }

  TEST_CASE("while both have some, the early lane gets its share of the bytes") {
    SUBCASE("a half") {
      UploadQueue queue(50);
      CHECK(early_of(queue, 1000, 100, 100) == 500);
    }
    SUBCASE("a fifth") {
      UploadQueue queue(20);
      CHECK(early_of(queue, 1000, 100, 100) == 200);
    }
    SUBCASE("a half of the bytes, in large objects") {
      UploadQueue queue(50);
      const int early = early_of(queue, 1100, 1000, 100);
      CHECK(early >= 99);
      CHECK(early <= 101);
    }
    SUBCASE("all") {
      UploadQueue queue(100);
      CHECK(early_of(queue, 1000, 100, 100) == 1000);
    }
  }

  TEST_CASE("a share that was not used is not had later, and nothing is owed for a free way") {
    UploadQueue queue(50);
    for (int i = 0; i < 100; ++i) {
      queue.push(job(1, false));
      CHECK_FALSE(queue.pop()->early);
    }
    CHECK(early_of(queue, 100, 100, 100) == 50);
    while (queue.size() > 0) {
      CHECK(queue.pop());
    }
    for (int i = 0; i < 100; ++i) {
      queue.push(job(1, true));
      CHECK(queue.pop()->early);
    }
    CHECK(early_of(queue, 100, 100, 100) >= 49);
  }

  TEST_CASE("one lane can be asked alone, without waiting") {
    UploadQueue queue(50);
    queue.push(job(1, false));
    CHECK_FALSE(queue.try_pop(/*early=*/true));
    CHECK(to_number(queue.try_pop(/*early=*/false)->id) == 1);
    CHECK_FALSE(queue.try_pop(/*early=*/false));
  }

  TEST_CASE("closing wakes who waits, and abandons what is inside") {
    UploadQueue queue(50);
    auto waiter = std::async(std::launch::async, [&queue] { return queue.pop().has_value(); });
    queue.close();
    CHECK_FALSE(waiter.get());
    queue.push(job(1, false));
    CHECK_FALSE(queue.pop());
    CHECK_FALSE(queue.try_pop(/*early=*/false));
    queue.close();
  }
}

}  // namespace
