#include "m2b/upload/bandwidth_limit.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <latch>
#include <limits>
#include <stop_token>
#include <vector>

namespace {

TEST_SUITE("bandwidth_limit") {
  using namespace std::chrono_literals;
  using m2b::BandwidthLimit;
  using Clock = std::chrono::steady_clock;

  TEST_CASE("without a limit all that is wanted may be sent at once") {
    BandwidthLimit limit(0);
    const std::stop_source stop;
    const std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(limit.take(1, stop.get_token()) == 1);
    CHECK(limit.take(most, stop.get_token()) == most);
  }

  TEST_CASE("several threads keep to the limit together") {
    constexpr std::uint64_t kBytesPerSecond = 1'000'000;
    constexpr std::size_t kEach = 100'000;
    constexpr std::size_t kThreads = 8;
    BandwidthLimit limit(kBytesPerSecond);
    const auto begin = Clock::now();
    std::vector<std::future<std::size_t>> senders;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      senders.push_back(std::async(std::launch::async, [&limit] {
        std::size_t sent = 0;
        while (sent < kEach) sent += limit.take(kEach - sent, {});
        return sent;
      }));
    }
    for (auto& sender : senders) CHECK(sender.get() == kEach);
    const auto took = Clock::now() - begin;
    CHECK(took >= 660ms);  // 800 kB without a burst of 120 kB
    CHECK(took < 10s);
  }

  TEST_CASE("a request to stop ends the wait of all at once") {
    constexpr int kThreads = 30;
    BandwidthLimit limit(1);
    std::stop_source stop;
    std::latch all_ask(kThreads + 1);
    std::vector<std::future<std::size_t>> senders;
    senders.reserve(kThreads);
    const auto begin = Clock::now();
    for (int thread = 0; thread < kThreads; ++thread) {
      senders.push_back(std::async(std::launch::async, [&] {
        all_ask.count_down();
        return limit.take(1000, stop.get_token());
      }));
    }
    all_ask.arrive_and_wait();
    stop.request_stop();
    std::size_t sent = 0;
    for (auto& sender : senders) sent += sender.get();
    CHECK(sent < 11);  // one at once, and one a second
    CHECK(Clock::now() - begin < 10s);
  }
}

}  // namespace
