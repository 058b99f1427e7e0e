#include "m2b/util/bounded_queue.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "support/eventually.hpp"

namespace {

TEST_SUITE("bounded_queue") {
  using m2b::BoundedQueue;

  TEST_CASE("what is pushed is popped") {
    BoundedQueue<int> queue(2);
    CHECK(queue.push(1));
    CHECK(queue.push(2));
    CHECK(queue.pop() == 1);
    CHECK(queue.pop() == 2);
  }

  TEST_CASE("a push beyond the bound waits for a pop") {
    BoundedQueue<int> queue(1);
    CHECK(queue.push(1));
    std::atomic<bool> pushed{false};
    std::jthread pusher([&] {
      static_cast<void>(queue.push(2));
      pushed = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK_FALSE(pushed);
    CHECK(queue.pop() == 1);
    CHECK(m2b::test::eventually([&] { return pushed.load(); }));
    CHECK(queue.pop() == 2);
  }

  TEST_CASE("closing wakes those who wait on both sides") {
    BoundedQueue<int> full(1);
    CHECK(full.push(1));
    BoundedQueue<int> empty(1);
    auto push = std::async(std::launch::async, [&] { return full.push(2); });
    auto pop = std::async(std::launch::async, [&] { return empty.pop(); });
    full.close();
    full.close();
    empty.close();
    CHECK_FALSE(push.get());
    CHECK_FALSE(pop.get());
    CHECK_FALSE(full.pop());  // what was inside is abandoned
  }

  TEST_CASE("the order is that of the pushes, whoever pushed") {
    BoundedQueue<int> queue(100);
    for (int i = 0; i < 50; ++i) {
      std::jthread([&] { CHECK(queue.push(i)); }).join();
    }
    for (int i = 0; i < 50; ++i) {
      CHECK(queue.pop() == i);
    }
  }

  TEST_CASE("many producers and consumers lose and repeat nothing") {
    constexpr int kEach = 5000;
    constexpr int kThreads = 4;
    BoundedQueue<int> queue(16);
    std::vector<std::atomic<int>> seen(kEach * kThreads);
    std::atomic<int> popped{0};
    {
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
          for (int i = 0; i < kEach; ++i) {
            static_cast<void>(queue.push(thread * kEach + i));
          }
        });
        threads.emplace_back([&] {
          while (const auto item = queue.pop()) {
            ++seen[static_cast<std::size_t>(*item)];
            ++popped;
          }
        });
      }
      CHECK(m2b::test::eventually([&] { return popped == kEach * kThreads; }));
      queue.close();
    }
    for (const auto& count : seen) {
      CHECK(count == 1);
    }
  }
}

}  // namespace
