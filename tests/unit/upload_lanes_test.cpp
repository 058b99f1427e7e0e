#include "pipeline/upload_queue.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
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
    for (const std::uint64_t id : {3, 4, 1, 2}) {
      CHECK(to_number(queue.pop()->id) == id);
    }
    CHECK(queue.size() == 0);
  }

  TEST_CASE("while both have some, the early lane gets its share of the bytes, 2 MiB in advance") {
    constexpr std::size_t kBytes = 100'000;
    int early = 0;
    int expected = 0;
    SUBCASE("a half") {
      UploadQueue queue(50);
      early = early_of(queue, 1000, kBytes, kBytes);
      expected = 500;
    }
    SUBCASE("a fifth") {
      UploadQueue queue(20);
      early = early_of(queue, 1000, kBytes, kBytes);
      expected = 200;
    }
    SUBCASE("a half of the bytes, in larger objects") {
      UploadQueue queue(50);
      early = early_of(queue, 1000, 4 * kBytes, kBytes);
      expected = 200;
    }
    SUBCASE("all") {
      UploadQueue queue(100);
      early = early_of(queue, 1000, kBytes, kBytes);
      expected = 1000;
    }
    CHECK(early >= expected);
    CHECK(early <= expected + 50);
  }

  TEST_CASE("a share that was not used is not had later") {
    UploadQueue queue(50);
    for (int i = 0; i < 100; ++i) {
      queue.push(job(1, false, 1'000'000));
      CHECK_FALSE(queue.pop()->early);
    }
    CHECK(early_of(queue, 200, 1'000'000, 1'000'000) <= 105);
  }

  TEST_CASE("who takes early ones only waits until they may go") {
    UploadQueue queue(50);
    const auto pop_early = [&queue] {
      return std::async(std::launch::async, [&queue] { return queue.pop_early(); });
    };
    auto early = pop_early();
    queue.push(job(1, false));
    queue.push(job(2, true));
    CHECK(to_number(early.get()->id) == 2);

    // Now it has had more than its share.
    queue.push(job(3, true, 9'000'000));
    CHECK(to_number(queue.pop_early()->id) == 3);
    queue.push(job(4, true));
    early = pop_early();
    CHECK(early.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
    CHECK(to_number(queue.pop()->id) == 1);  // and with the other lane empty
    CHECK(to_number(early.get()->id) == 4);

    early = pop_early();
    queue.close();
    CHECK_FALSE(early.get());
  }

  TEST_CASE("an early one goes to whoever waits, when those for it alone are served already") {
    for (int round = 0; round < 300; ++round) {
      UploadQueue queue(50);
      auto early = std::async(std::launch::async, [&queue] { return queue.pop_early(); });
      auto any = std::async(std::launch::async, [&queue] { return queue.pop(); });
      std::this_thread::yield();
      queue.push(job(1, true));
      queue.push(job(2, true));
      const bool both = any.wait_for(std::chrono::seconds(10)) == std::future_status::ready &&
                        early.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
      queue.close();
      REQUIRE(both);
    }
  }

  TEST_CASE("it tells how much waits for its turn") {
    UploadQueue queue(50);
    CHECK(queue.bytes_in_turn() == 0);
    queue.push(job(1, false, 70));
    queue.push(job(2, true, 100));
    queue.push(job(3, false, 7));
    CHECK(queue.bytes_in_turn() == 77);
    CHECK(queue.try_pop(/*early=*/false));
    CHECK(queue.bytes_in_turn() == 7);
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
