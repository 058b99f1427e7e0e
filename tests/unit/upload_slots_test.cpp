#include "pipeline/upload_slots.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <stop_token>
#include <thread>
#include <vector>

#include "support/eventually.hpp"

namespace {

using namespace m2b;
using test::eventually;

TEST_SUITE("upload_slots") {
  TEST_CASE("no more upload than there are slots") {
    UploadSlots slots(ConcurrencyLimit(3, 3));
    std::atomic<int> at_once{0};
    std::atomic<int> most{0};
    std::vector<std::jthread> uploaders;
    for (int i = 0; i < 8; ++i) {
      uploaders.emplace_back([&](const std::stop_token& stop) {
        for (int round = 0; round < 200 && slots.take(stop); ++round) {
          const int now = ++at_once;
          most = std::max(most.load(), now);
          std::this_thread::yield();
          --at_once;
          slots.give_back({.bytes = 1, .others_wait = true});
        }
      });
    }
    uploaders.clear();
    CHECK(most <= 3);
  }

  TEST_CASE("who waits for a slot hears of the stop") {
    UploadSlots slots(ConcurrencyLimit(1, 1));
    REQUIRE(slots.take({}));
    std::atomic<bool> taken{true};
    std::jthread waiting([&](const std::stop_token& stop) { taken = slots.take(stop); });
    waiting.request_stop();
    waiting.join();
    CHECK_FALSE(taken);
  }

  TEST_CASE("growth that failed is asked for again after a while") {
    for (const auto retry : {std::chrono::milliseconds(0), std::chrono::milliseconds(3'600'000)}) {
      UploadSlots slots(ConcurrencyLimit(1, 4), retry);
      int asked = 0;
      slots.set_growth_listener([&](std::size_t) {
        ++asked;
        return std::size_t{1};
      });
      const auto upload = [&] {
        CHECK(slots.take({}));
        slots.give_back({.bytes = 1'000'000, .others_wait = true});
      };
      CHECK(eventually([&] {
        for (int i = 0; i < 1000; ++i) upload();
        return asked > 0;
      }));
      for (int i = 0; i < 10; ++i) upload();
      CHECK((asked > 1) == (retry.count() == 0));
    }
  }

  TEST_CASE("growth is told, once for each size") {
    UploadSlots slots(ConcurrencyLimit(1, 4));
    std::vector<std::size_t> told;
    slots.set_growth_listener([&](std::size_t count) {
      told.push_back(count);
      return count;
    });
    CHECK(eventually([&] {  // each upload of a moment: the longer they go on, the more go through
      for (int i = 0; i < 1000; ++i) {
        CHECK(slots.take({}));
        slots.give_back({.bytes = 1'000'000, .others_wait = true});
      }
      return !told.empty();
    }));
    CHECK(told.front() == 2);
  }
}

}  // namespace
