#include "pipeline/concurrency_limit.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <queue>
#include <random>
#include <vector>

namespace {

using namespace m2b;

TEST_SUITE("concurrency_limit") {
  /// A store at the end of a line, in a time of its own: an upload takes its latency, and all of
  /// them together no more than so many a second.
  class Line {
   public:
    double latency_seconds = 0.2;
    double objects_per_second = 300;
    std::uint64_t object_bytes = 20'000;
    bool fails = false;
    bool others_wait = true;
    double unsteadiness = 0;  // by so much the rate differs from half second to half second

    explicit Line(ConcurrencyLimit& limit) : limit_(limit) {}

    /// Uploads for so long; returns how many were through in a second of it.
    double run(double seconds) {
      const double until = now_ + seconds;
      std::size_t through = 0;
      while (true) {
        while (under_way_.size() < limit_.value()) {
          if (now_ >= steady_until_) {
            steady_until_ = now_ + 0.5;
            speed_ = std::uniform_real_distribution(1 - unsteadiness, 1 + unsteadiness)(random_);
          }
          free_at_ = std::max(free_at_, now_) + 1 / (objects_per_second * speed_);
          const double scatter = std::uniform_real_distribution(0.9, 1.1)(random_);
          under_way_.push(std::max(free_at_, now_ + latency_seconds * scatter));
        }
        if (under_way_.top() > until) {
          now_ = until;
          return static_cast<double>(through) / seconds;
        }
        now_ = under_way_.top();
        under_way_.pop();
        through += fails ? 0 : 1;
        limit_.note(
            {.bytes = object_bytes, .failed = fails, .others_wait = others_wait},
            ConcurrencyLimit::Time(std::chrono::duration_cast<ConcurrencyLimit::Time::duration>(
                std::chrono::duration<double>(now_))));
      }
    }

   private:
    ConcurrencyLimit& limit_;
    std::mt19937 random_{1};
    double now_ = 1000;
    double free_at_ = 0;
    double steady_until_ = 0;
    double speed_ = 1;
    std::priority_queue<double, std::vector<double>, std::greater<>> under_way_;
  };

  struct Fixture {
    ConcurrencyLimit limit{4, 128};
    Line line{limit};

    std::size_t highest_limit(int seconds) {
      std::size_t most = 0;
      for (int second = 0; second < seconds; ++second) {
        line.run(1);
        most = std::max(most, limit.value());
      }
      return most;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "a long line is filled within seconds") {
    CHECK(limit.value() == 4);
    line.run(15);
    CHECK(line.run(60) >= 0.93 * 300);
    const std::size_t most = highest_limit(60);  // at any moment fewer may just be tried
    CHECK(most >= 55);
    CHECK(most <= 128);
  }

  TEST_CASE_FIXTURE(Fixture, "a store that a few fill is left with a few") {
    line.latency_seconds = 0.002;
    line.objects_per_second = 1000;
    CHECK(line.run(120) >= 0.97 * 1000);
    CHECK(limit.value() <= 9);
  }

  TEST_CASE_FIXTURE(Fixture, "a store whose speed changes by chance is not given more for it") {
    line.latency_seconds = 0.002;
    line.objects_per_second = 1000;
    line.unsteadiness = 0.3;
    double sum = 0;
    for (int second = 0; second < 1000; ++second) {
      line.run(1);
      sum += static_cast<double>(limit.value());
    }
    CHECK(sum / 1000 < 10);
  }

  TEST_CASE_FIXTURE(Fixture, "many that are needed no more go again") {
    line.run(30);
    const std::size_t many = limit.value();
    line.latency_seconds = 0.01;
    line.run(300);
    CHECK(limit.value() < many / 2);
    CHECK(line.run(60) >= 0.9 * 300);
  }

  TEST_CASE_FIXTURE(Fixture, "a line that has become longer is noticed") {
    line.latency_seconds = 0.01;
    line.run(60);
    CHECK(limit.value() < 20);
    line.latency_seconds = 0.2;
    line.run(60);
    CHECK(line.run(60) >= 0.9 * 300);
  }

  TEST_CASE_FIXTURE(Fixture, "it never leaves its bounds") {
    line.objects_per_second = 100'000;
    CHECK(highest_limit(60) == 128);
    line.fails = true;
    line.run(60);
    CHECK(limit.value() == 4);
  }

  TEST_CASE_FIXTURE(Fixture, "uploads that fail together are one failure") {
    line.run(30);
    const std::size_t many = limit.value();
    line.fails = true;
    line.run(0.3);
    CHECK(limit.value() == many / 2);
  }

  TEST_CASE_FIXTURE(Fixture, "without a backlog there is nothing to try") {
    line.others_wait = false;
    line.run(60);
    CHECK(limit.value() == 4);
  }

  TEST_CASE("a number that was given stays") {
    ConcurrencyLimit fixed(7, 7);
    Line line(fixed);
    line.run(30);
    line.fails = true;
    line.run(30);
    CHECK(fixed.value() == 7);
  }
}

}  // namespace
