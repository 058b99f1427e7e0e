#include "pipeline/key_order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace {

TEST_SUITE("key_order") {
  using namespace m2b;

  UploadJob job(std::uint64_t id, const std::string& image_id) {
    auto key = std::get<ObjectKey>(ObjectKey::from_image_id(image_id));
    UploadJob made;
    made.id = SpoolId{id};
    made.budget_bytes = 10;
    made.object = std::make_unique<Object>(Object{std::move(key), "", "", {}});
    return made;
  }

  UploadJob again(UploadJob job) {
    job.postponements = 1;
    return job;
  }

  std::vector<std::uint64_t> ids(const KeyOrder::Release& release) {
    std::vector<std::uint64_t> found;
    for (const UploadJob& one : release.ready) {
      found.push_back(to_number(one.id));
    }
    return found;
  }
  using Ids = std::vector<std::uint64_t>;

  TEST_CASE("different keys go at once") {
    KeyOrder order;
    order.admit(SpoolId{1});
    order.admit(SpoolId{2});
    CHECK(ids(order.decoded(job(1, "a"))) == Ids{1});
    CHECK(ids(order.decoded(job(2, "b"))) == Ids{2});
    CHECK_FALSE(order.finished(SpoolId{2}));
    CHECK_FALSE(order.finished(SpoolId{1}));
  }

  TEST_CASE("an object waits until every earlier record is decoded") {
    KeyOrder order;
    for (std::uint64_t id = 1; id <= 3; ++id) {
      order.admit(SpoolId{id});
    }
    CHECK(ids(order.decoded(job(3, "c"))).empty());
    CHECK(ids(order.decoded(job(2, "b"))).empty());
    CHECK(ids(order.decoded(job(1, "a"))) == Ids{1, 2, 3});
  }

  TEST_CASE("a record that became nothing does not hold the others back") {
    KeyOrder order;
    order.admit(SpoolId{1});
    order.admit(SpoolId{2});
    CHECK(ids(order.decoded(job(2, "b"))).empty());
    CHECK(ids(order.dropped(SpoolId{1})) == Ids{2});
  }

  TEST_CASE("the same key goes one at a time, in order of arrival") {
    KeyOrder order;
    for (std::uint64_t id = 1; id <= 3; ++id) {
      order.admit(SpoolId{id});
    }
    CHECK(ids(order.decoded(job(2, "same"))).empty());
    CHECK(ids(order.decoded(job(1, "same"))) == Ids{1});
    CHECK(ids(order.decoded(job(3, "same"))).empty());
    CHECK(to_number(order.finished(SpoolId{1})->id) == 2);
    CHECK(to_number(order.finished(SpoolId{2})->id) == 3);
    CHECK_FALSE(order.finished(SpoolId{3}));
  }

  TEST_CASE("those behind a postponed object give up their memory, and so do those who join them") {
    KeyOrder order;
    for (std::uint64_t id = 1; id <= 4; ++id) {
      order.admit(SpoolId{id});
    }
    CHECK(ids(order.decoded(job(1, "same"))) == Ids{1});
    CHECK(ids(order.decoded(job(2, "same"))).empty());
    CHECK(order.postponed(SpoolId{1}) == 10);
    CHECK(order.parked() == 1);
    CHECK(order.decoded(job(3, "same")).freed_bytes == 10);
    CHECK(order.parked() == 2);
    CHECK(ids(order.decoded(job(4, "other"))) == Ids{4});
    CHECK(ids(order.decoded(again(job(1, "same")))) == Ids{1});

    const auto second = order.finished(SpoolId{1});
    REQUIRE(second);
    CHECK(to_number(second->id) == 2);
    CHECK_FALSE(second->object);
    CHECK(to_number(order.finished(SpoolId{2})->id) == 3);
    CHECK(order.parked() == 0);
    CHECK_FALSE(order.finished(SpoolId{3}));
    CHECK(order.postponed(SpoolId{3}) == 0);
  }

  TEST_CASE("a record that becomes an object late takes its turn behind its key") {
    KeyOrder order;
    order.admit(SpoolId{1});
    order.admit(SpoolId{2});
    CHECK(ids(order.dropped(SpoolId{1})).empty());
    CHECK(ids(order.decoded(job(2, "same"))) == Ids{2});
    CHECK(ids(order.decoded(again(job(1, "same")))).empty());
    CHECK(to_number(order.finished(SpoolId{2})->id) == 1);
    CHECK_FALSE(order.finished(SpoolId{77}));
  }

  TEST_CASE("whatever the decoders' order: per key ascending, one at a time, nothing lost") {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
      constexpr std::uint64_t kCount = 40;
      KeyOrder order;
      std::map<std::uint64_t, std::string> keys;
      Ids decode_order;
      for (std::uint64_t id = 1; id <= kCount; ++id) {
        order.admit(SpoolId{id});
        keys[id] = std::string(1, static_cast<char>('a' + random() % 4));
        decode_order.push_back(id);
      }
      std::shuffle(decode_order.begin(), decode_order.end(), random);
      std::map<std::string, std::uint64_t> running;
      std::map<std::string, std::uint64_t> last;
      std::size_t done = 0;
      const auto begin = [&](std::uint64_t id) {
        CHECK_FALSE(running.contains(keys[id]));
        CHECK(last[keys[id]] < id);
        running[keys[id]] = last[keys[id]] = id;
      };
      const auto finish_one = [&] {
        const auto one =
            std::next(running.begin(), static_cast<std::ptrdiff_t>(random() % running.size()));
        const std::uint64_t id = one->second;
        running.erase(one);
        ++done;
        if (const auto next = order.finished(SpoolId{id})) {
          begin(to_number(next->id));
        }
      };
      for (const std::uint64_t id : decode_order) {
        for (const UploadJob& ready : order.decoded(job(id, keys[id])).ready) {
          begin(to_number(ready.id));
        }
        if (!running.empty() && random() % 2 == 0) {
          finish_one();
        }
      }
      while (!running.empty()) {
        finish_one();
      }
      CHECK(done == kCount);
    }
  }
}

}  // namespace
