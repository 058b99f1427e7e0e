#include "pipeline/key_order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

TEST_SUITE("key_order") {
  using namespace m2b;

  Delivery delivery(std::uint64_t id, const std::string& image_id) {
    auto key = std::get<ObjectKey>(ObjectKey::from_image_id(image_id));
    Delivery made;
    made.id = SpoolId{id};
    made.budget_bytes = 10;
    made.set_object(std::make_shared<const Object>(Object{std::move(key), "", "", {}}));
    return made;
  }

  std::uint64_t hash_of(const std::string& image_id) { return delivery(1, image_id).key_hash; }

  /// One that was postponed in its turn.
  Delivery with_turn(Delivery delivery) {
    delivery.has_turn = true;
    return delivery;
  }

  /// One that was no object at its turn.
  Delivery late(Delivery delivery) {
    delivery.is_late = true;
    return delivery;
  }

  std::vector<std::uint64_t> ids(const KeyOrder::Release& release) {
    std::vector<std::uint64_t> found;
    for (const Delivery& one : release.ready) {
      found.push_back(to_number(one.id));
    }
    return found;
  }
  using Ids = std::vector<std::uint64_t>;

  /// A record that nobody has read before.
  void admit(KeyOrder & order, std::uint64_t id) {
    const Delivery record{.id = SpoolId{id}, .record_bytes = 5, .budget_bytes = 10};
    const KeyOrder::Release release = order.admit(record);
    REQUIRE(release.to_decode);
    CHECK(release.to_decode->id == record.id);
    CHECK(release.ready.empty());
  }

  TEST_CASE("different keys go at once") {
    KeyOrder order;
    admit(order, 1);
    admit(order, 2);
    CHECK(ids(order.decoded(delivery(1, "a"))) == Ids{1});
    CHECK(ids(order.decoded(delivery(2, "b"))) == Ids{2});
    CHECK_FALSE(order.finished(hash_of("b")));
    CHECK_FALSE(order.finished(hash_of("a")));
  }

  TEST_CASE("an object waits until every earlier record is decoded") {
    KeyOrder order;
    for (std::uint64_t id = 1; id <= 3; ++id) {
      admit(order, id);
    }
    CHECK(ids(order.decoded(delivery(3, "c"))).empty());
    CHECK(ids(order.decoded(delivery(2, "b"))).empty());
    CHECK(ids(order.decoded(delivery(1, "a"))) == Ids{1, 2, 3});
  }

  TEST_CASE("a record that became nothing does not hold the others back") {
    KeyOrder order;
    admit(order, 1);
    admit(order, 2);
    CHECK(ids(order.decoded(delivery(2, "b"))).empty());
    CHECK(ids(order.dropped(SpoolId{1})) == Ids{2});
  }

  TEST_CASE("the same key goes one at a time, in order of arrival") {
    KeyOrder order;
    for (std::uint64_t id = 1; id <= 3; ++id) {
      admit(order, id);
    }
    CHECK(ids(order.decoded(delivery(2, "same"))).empty());
    CHECK(ids(order.decoded(delivery(1, "same"))) == Ids{1});
    CHECK(ids(order.decoded(delivery(3, "same"))).empty());
    CHECK(to_number(order.finished(hash_of("same"))->id) == 2);
    CHECK(to_number(order.finished(hash_of("same"))->id) == 3);
    CHECK_FALSE(order.finished(hash_of("same")));
  }

  TEST_CASE("those behind a postponed object give up their memory, and so do those who join them") {
    KeyOrder order;
    for (std::uint64_t id = 1; id <= 4; ++id) {
      admit(order, id);
    }
    CHECK(ids(order.decoded(delivery(1, "same"))) == Ids{1});
    CHECK(ids(order.decoded(delivery(2, "same"))).empty());
    CHECK(order.postponed(hash_of("same")) == 10);
    CHECK(order.waiting_unloaded() == 1);
    CHECK(order.decoded(delivery(3, "same")).freed_bytes == 10);
    CHECK(order.waiting_unloaded() == 2);
    CHECK(ids(order.decoded(delivery(4, "other"))) == Ids{4});
    CHECK(ids(order.decoded(with_turn(delivery(1, "same")))) == Ids{1});

    const auto second = order.finished(hash_of("same"));
    REQUIRE(second);
    CHECK(to_number(second->id) == 2);
    CHECK_FALSE(second->object);
    CHECK(to_number(order.finished(hash_of("same"))->id) == 3);
    CHECK(order.waiting_unloaded() == 0);
    CHECK_FALSE(order.finished(hash_of("same")));
  }

  TEST_CASE("a record that becomes an object late takes its turn behind its key") {
    KeyOrder order;
    admit(order, 1);
    admit(order, 2);
    CHECK(ids(order.dropped(SpoolId{1})).empty());
    CHECK(ids(order.decoded(delivery(2, "same"))) == Ids{2});
    CHECK(ids(order.decoded(late(delivery(1, "same")))).empty());
    CHECK(to_number(order.finished(hash_of("same"))->id) == 1);
  }

  /// A record that is read ahead of its turn, and whose key is free.
  void go_live(KeyOrder & order, std::uint64_t id, const std::string& image_id) {
    order.admit_live(SpoolId{id});
    REQUIRE(order.claim_live(SpoolId{id}, hash_of(image_id)));
  }

  TEST_CASE("one that was stored live is removed when its turn has come") {
    KeyOrder order;
    admit(order, 1);
    go_live(order, 3, "c");
    CHECK(ids(order.ended_live(SpoolId{3}, /*stored=*/true)).empty());
    admit(order, 2);
    CHECK_FALSE(order.admit({.id = SpoolId{3}, .budget_bytes = 10}).stored_live);
    admit(order, 4);
    CHECK(ids(order.decoded(delivery(1, "a"))) == Ids{1});
    CHECK(ids(order.decoded(delivery(4, "d"))).empty());
    const KeyOrder::Release turn = order.decoded(delivery(2, "b"));
    CHECK(ids(turn) == Ids{2});
    REQUIRE(turn.stored_live);
    CHECK(to_number(turn.stored_live->id) == 3);
    CHECK(turn.stored_live->budget_bytes == 10);
    // Nothing that came later goes before it is removed.
    CHECK(ids(order.removed_live()) == Ids{4});
  }

  TEST_CASE("with nothing before it, it is removed at once") {
    KeyOrder order;
    go_live(order, 1, "a");
    static_cast<void>(order.ended_live(SpoolId{1}, /*stored=*/true));
    const KeyOrder::Release turn = order.admit({.id = SpoolId{1}});
    CHECK(turn.stored_live);
    CHECK_FALSE(turn.to_decode);
  }

  TEST_CASE("its turn waits for an live upload that still runs, and begins anew if that fails") {
    KeyOrder order;
    go_live(order, 1, "a");
    const KeyOrder::Release turn = order.admit({.id = SpoolId{1}, .budget_bytes = 7});
    CHECK_FALSE(turn.to_decode);
    CHECK_FALSE(turn.stored_live);
    SUBCASE("stored") { CHECK(order.ended_live(SpoolId{1}, /*stored=*/true).stored_live); }
    SUBCASE("failed") {
      const KeyOrder::Release failed = order.ended_live(SpoolId{1}, /*stored=*/false);
      REQUIRE(failed.to_decode);
      CHECK(failed.to_decode->budget_bytes == 7);
      CHECK(ids(order.decoded(delivery(1, "a"))) == Ids{1});
    }
  }

  TEST_CASE("an earlier object of its key that comes to light lets it be uploaded again") {
    KeyOrder order;
    admit(order, 1);
    go_live(order, 2, "same");
    static_cast<void>(order.ended_live(SpoolId{2}, /*stored=*/true));
    static_cast<void>(order.admit({.id = SpoolId{2}}));
    const KeyOrder::Release turn = order.decoded(delivery(1, "same"));
    CHECK(ids(turn) == Ids{1});
    REQUIRE(turn.to_decode);
    CHECK(to_number(turn.to_decode->id) == 2);
    CHECK(ids(order.decoded(delivery(2, "same"))).empty());
    CHECK(to_number(order.finished(hash_of("same"))->id) == 2);
  }

  TEST_CASE("nothing goes live while an object of its key is under way") {
    KeyOrder order;
    admit(order, 1);
    CHECK(ids(order.decoded(delivery(1, "same"))) == Ids{1});
    order.admit_live(SpoolId{5});
    CHECK_FALSE(order.claim_live(SpoolId{5}, hash_of("same")));
    static_cast<void>(order.ended_live(SpoolId{5}, /*stored=*/false));
    CHECK_FALSE(order.finished(hash_of("same")));
    CHECK(order.admit({.id = SpoolId{5}}).to_decode);
  }

  TEST_CASE("whatever the decoders' order: per key ascending, one at a time, nothing lost") {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
      constexpr std::uint64_t kCount = 40;
      KeyOrder order;
      std::map<std::uint64_t, std::string> keys;
      Ids decode_order;
      for (std::uint64_t id = 1; id <= kCount; ++id) {
        admit(order, id);
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
        if (const auto next = order.finished(hash_of(keys[id]))) {
          begin(to_number(next->id));
        }
      };
      for (const std::uint64_t id : decode_order) {
        for (const Delivery& ready : order.decoded(delivery(id, keys[id])).ready) {
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

  /// A bucket and a spool, and everything in any order: decoders, uploads that land at any time
  /// before they end, live ones among them. A crash is possible at any moment.
  class Model {
   public:
    explicit Model(std::mt19937::result_type seed) : random_(seed) {
      for (std::uint64_t id = 1; id <= kCount; ++id) {
        keys_[id] = std::string(1, static_cast<char>('a' + random_() % 15));
        newest_[keys_[id]] = id;
        waiting_.insert(id);
      }
    }

    void run() {
      while (!waiting_.empty()) {
        step();
        check_that_a_crash_would_do_no_harm();
      }
    }
    [[nodiscard]] int live_stored() const noexcept { return live_stored_; }

   private:
    struct Put {
      Delivery delivery;
      bool landed = false;
    };
    static constexpr std::uint64_t kCount = 60;

    void step() {
      switch (random_() % 5) {
        case 0:
          if (cursor_ < kCount && cursor_ < *waiting_.begin() + 8) {
            ++cursor_;
            proceed(order_.admit({.id = SpoolId{cursor_}}));
          }
          break;
        case 1: {
          const std::uint64_t next = std::max(live_cursor_, cursor_) + 1 + random_() % 3;
          if (next <= kCount && next < cursor_ + 12) {
            live_cursor_ = next;
            order_.admit_live(SpoolId{live_cursor_});
            records_.push_back({.id = SpoolId{live_cursor_}, .lane = Lane::live});
          }
          break;
        }
        case 2:
          if (!records_.empty()) {
            decode(take_one(records_));
          }
          break;
        case 3:
          if (!puts_.empty()) {
            land(puts_[random_() % puts_.size()]);
          }
          break;
        default:
          if (!puts_.empty()) {
            end(take_one(puts_));
          }
      }
    }

    template <class T>
    T take_one(std::vector<T>& all) {
      std::swap(all[random_() % all.size()], all.back());
      T taken = std::move(all.back());
      all.pop_back();
      return taken;
    }

    void decode(const Delivery& record) {
      const std::uint64_t id = to_number(record.id);
      Delivery object = delivery(id, keys_[id]);
      object.lane = record.lane;
      if (record.lane != Lane::live) {
        proceed(order_.decoded(std::move(object)));
      } else if (order_.claim_live(record.id, object.key_hash)) {
        puts_.push_back({std::move(object)});
      } else {
        proceed(order_.ended_live(record.id, /*stored=*/false));
      }
    }

    void land(Put& put) {
      put.landed = true;
      bucket_[keys_[to_number(put.delivery.id)]] = to_number(put.delivery.id);
    }

    void end(Put put) {
      const bool stored = random_() % 3 != 0;
      if (stored && !put.landed) {
        land(put);
      }
      if (put.delivery.lane == Lane::live) {
        live_stored_ += stored ? 1 : 0;
        proceed(order_.ended_live(put.delivery.id, stored));
      } else if (stored) {
        waiting_.erase(to_number(put.delivery.id));
        if (auto next = order_.finished(put.delivery.key_hash)) {
          puts_.push_back({*std::move(next)});
        }
      } else {
        puts_.push_back({std::move(put.delivery)});  // tried again
      }
    }

    void proceed(KeyOrder::Release release) {
      for (Delivery& ready : release.ready) {
        puts_.push_back({std::move(ready)});
      }
      if (release.to_decode) {
        records_.push_back(*release.to_decode);
      }
      if (release.stored_live) {
        waiting_.erase(to_number(release.stored_live->id));
        check_that_a_crash_would_do_no_harm();
        proceed(order_.removed_live());
      }
    }

    /// What waits would be put again, in order.
    void check_that_a_crash_would_do_no_harm() const {
      auto bucket = bucket_;
      for (const std::uint64_t id : waiting_) {
        bucket[keys_.at(id)] = id;
      }
      REQUIRE(bucket == newest_);
    }

    std::mt19937 random_;
    KeyOrder order_;
    std::map<std::uint64_t, std::string> keys_;    // by id
    std::map<std::string, std::uint64_t> newest_;  // by key
    std::set<std::uint64_t> waiting_;              // in the spool
    std::map<std::string, std::uint64_t> bucket_;
    std::vector<Delivery> records_;  // being decoded
    std::vector<Put> puts_;          // under way
    std::uint64_t cursor_ = 0;
    std::uint64_t live_cursor_ = 0;
    int live_stored_ = 0;
  };

  TEST_CASE("whatever goes live: the newest of each key is what stays, and survives any crash") {
    int live_stored = 0;
    for (std::mt19937::result_type seed = 1; seed <= 300; ++seed) {
      Model model(seed);
      model.run();
      live_stored += model.live_stored();
    }
    CHECK(live_stored > 1000);
  }
}

}  // namespace
