#include "m2b/util/token_bucket.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <queue>
#include <random>
#include <vector>

namespace {

TEST_SUITE("token_bucket") {
  using namespace std::chrono_literals;
  using m2b::TokenBucket;
  using Time = TokenBucket::Clock::time_point;
  using Seconds = std::chrono::duration<double>;

  constexpr Time kStart{1h};
  constexpr std::uint64_t kPicture = 300'000;

  struct Use {
    Time at;
    std::size_t user = 0;
    std::uint64_t units = 0;
  };

  /// Users who ask again as soon as they have used a share, up to `delay` late, for `span`.
  std::vector<Use> uses_of(TokenBucket & bucket, std::size_t users, std::chrono::nanoseconds delay,
                           std::chrono::nanoseconds span) {
    std::mt19937_64 dice(users);
    std::uniform_int_distribution<std::int64_t> lateness(0, delay.count());
    std::uniform_int_distribution<std::uint64_t> wanted(1, kPicture);
    const auto is_later = [](const Use& one, const Use& other) { return one.at > other.at; };
    std::priority_queue<Use, std::vector<Use>, decltype(is_later)> next(is_later);
    std::uint64_t waiting = 0;
    const auto ask = [&](std::size_t user, Time now) {
      const auto share = bucket.take(wanted(dice), ++waiting, now);
      next.push(
          {std::max(share.at, now) + std::chrono::nanoseconds(lateness(dice)), user, share.units});
    };
    for (std::size_t user = 0; user < users; ++user) ask(user, kStart);
    std::vector<Use> uses;
    while (next.top().at < kStart + span) {
      uses.push_back(next.top());
      next.pop();
      --waiting;
      ask(uses.back().user, uses.back().at);
    }
    return uses;
  }

  double may_be_used(std::uint64_t per_second, Time::duration since) {
    return static_cast<double>(per_second) * Seconds(since).count();
  }

  TEST_CASE("the rate is kept to, whatever it is and however many share it") {
    constexpr auto kSpan = 60s;
    for (const std::uint64_t per_second : {1'024U, 1'500U, 65'537U, 500'000U, 7'000'003U}) {
      for (const std::size_t users : {1U, 4U, 64U, 257U}) {
        TokenBucket bucket(per_second);
        double used = 0;
        bool is_kept = true;
        for (const Use& use : uses_of(bucket, users, 20ms, kSpan)) {
          used += static_cast<double>(use.units);
          const double most =
              may_be_used(per_second, use.at - kStart) + static_cast<double>(bucket.burst());
          is_kept = is_kept && used <= most + 1;
        }
        CAPTURE(per_second);
        CAPTURE(users);
        CHECK(is_kept);
        CHECK(used >= 0.98 * may_be_used(per_second, kSpan));
      }
    }
  }

  TEST_CASE("no stretch of time has more than its worth and a burst") {
    for (const std::uint64_t per_second : {1'024U, 500'000U, 100'000'000U}) {
      TokenBucket bucket(per_second);
      const std::vector<Use> uses = uses_of(bucket, 4, 0ns, 5s);
      // The most over any stretch that ends here, beyond what its length allows.
      double excess = 0;
      double most = 0;
      Time before = kStart;
      for (const Use& use : uses) {
        excess = std::max(0.0, excess - may_be_used(per_second, use.at - before));
        excess += static_cast<double>(use.units);
        most = std::max(most, excess);
        before = use.at;
      }
      CAPTURE(per_second);
      CHECK(most <= static_cast<double>(bucket.burst()) + 1);
    }
  }

  /// What may be used without waiting.
  std::uint64_t at_once(TokenBucket & bucket, Time now) {
    std::uint64_t units = 0;
    for (auto share = bucket.take(kPicture, 1, now); share.at <= now;
         share = bucket.take(kPicture, 1, now)) {
      units += share.units;
    }
    return units;
  }

  TEST_CASE("who comes late makes up for a tenth of a second, and a rest is no lateness") {
    TokenBucket bucket(500'000);
    CHECK(bucket.burst() == 60'000);
    CHECK(at_once(bucket, kStart) == 10'000);
    CHECK(at_once(bucket, kStart + 900ms) == 60'000);
    CHECK(at_once(bucket, kStart + 24h) == 10'000);
  }

  TEST_CASE("whoever waits has a turn every other second, and as much as the others") {
    for (const std::uint64_t per_second : {1'024U, 500'000U}) {
      for (const std::size_t users : {4U, 64U, 257U}) {
        TokenBucket bucket(per_second);
        std::vector<Time> last(users, kStart + 10s);
        std::vector<std::uint64_t> used(users);
        Time::duration longest{};
        for (const Use& use : uses_of(bucket, users, 1ms, 120s)) {
          if (use.at < last.at(use.user)) continue;  // the line forms
          used.at(use.user) += use.units;
          longest = std::max(longest, use.at - last.at(use.user));
          last.at(use.user) = use.at;
        }
        CAPTURE(per_second);
        CAPTURE(users);
        CHECK(longest < 2s);
        const auto [least, most] = std::ranges::minmax(used);
        CHECK(least > 0);
        CHECK(static_cast<double>(least) >= 0.9 * static_cast<double>(most));
      }
    }
  }

  TEST_CASE("the first round of many who come at once is over within seconds") {
    TokenBucket bucket(1'024);
    Time last;
    for (std::uint64_t waiting = 1; waiting <= 257; ++waiting) {
      last = bucket.take(kPicture, waiting, kStart).at;
    }
    CHECK(last - kStart < 7s);
  }

  TEST_CASE("no more is given than was wanted, and only that is counted") {
    TokenBucket bucket(1'000);
    const Time first = bucket.take(10, 1, kStart).at;
    const auto second = bucket.take(7, 1, kStart);
    CHECK(second.units == 7);
    CHECK(second.at - first == 10ms);
    CHECK(bucket.take(1, 1, kStart).at - second.at == 7ms);
  }

  TEST_CASE("one unit a second is given one by one") {
    TokenBucket bucket(1);
    const Time first = bucket.take(kPicture, 1, kStart).at;
    CHECK(first <= kStart);
    for (int second = 1; second <= 100; ++second) {
      const auto share = bucket.take(kPicture, 64, kStart);
      CHECK(share.units == 1);
      CHECK(share.at == first + std::chrono::seconds(second));
    }
  }

  TEST_CASE("rounding does not add up") {
    TokenBucket bucket(3);
    const Time first = bucket.take(1, 1, kStart).at;
    for (int unit = 1; unit < 3'000'000; ++unit) static_cast<void>(bucket.take(1, 1, kStart));
    CHECK(bucket.take(1, 1, kStart).at - first == 1'000'000s);
  }

  TEST_CASE("the largest number holds nobody back") {
    TokenBucket bucket(std::numeric_limits<std::uint64_t>::max());
    for (int share = 0; share < 1000; ++share) {
      const auto given = bucket.take(std::numeric_limits<std::uint64_t>::max(), 1, kStart);
      CHECK(given.units > 0);
      CHECK(given.at <= kStart);
    }
  }
}

}  // namespace
