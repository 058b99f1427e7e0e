#include "spool/dead_letters.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "support/keys.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("dead_letters") {
  using namespace m2b;
  using namespace std::chrono_literals;

  struct Fixture {
    test::TempDir dir;
    DeadLetters letters{dir.path(), std::uint64_t{1} << 30, {}};
  };

  TEST_CASE_FIXTURE(Fixture, "a letter is kept with reason, detail and raw bytes") {
    const std::string raw(200'000, 'r');
    letters.add({{SpoolId{5}, {DeadLetterReason::bad_key, "leading '/'"}, raw}});
    const auto kept = letters.list(SpoolId{0}, 10);
    REQUIRE(kept.size() == 1);
    CHECK(kept[0].record.id == SpoolId{5});
    CHECK(kept[0].record.bytes == raw.size());
    CHECK(kept[0].rejection.reason == DeadLetterReason::bad_key);
    CHECK(kept[0].rejection.detail == "leading '/'");
    CHECK(kept[0].buried_at <= wall_now());
    CHECK(letters.read_raw(SpoolId{5}) == raw);
    CHECK_FALSE(letters.read_raw(SpoolId{6}));
  }

  TEST_CASE("an encrypted detail that is damaged is empty, and the rest is told") {
    const KeyRing keys = test::key_ring(test::kOneKey);
    std::string reason(
        "\x02\x05"
        "12345678"
        "\x27\xf9\x1a\x9f",
        14);
    reason += cipher::encrypt(*keys.encrypting(), reason, {"leading '/'"});
    CHECK(describe_letter(SpoolId{5}, reason, "", keys).rejection.detail == "leading '/'");
    reason[1] = '\x04';
    const LetterInfo letter = describe_letter(SpoolId{5}, reason, "", keys);
    CHECK(letter.rejection.detail.empty());
    CHECK(letter.rejection.reason == DeadLetterReason::bad_base64);
    CHECK(describe_letter(SpoolId{5}, reason.substr(0, 20), "", keys).rejection.detail.empty());
  }

  TEST_CASE_FIXTURE(Fixture,
                    "the same id again replaces the letter: a crash may have come between") {
    letters.add({{SpoolId{5}, {DeadLetterReason::bad_key, "first"}, std::string(100'000, 'a')}});
    letters.add({{SpoolId{5}, {DeadLetterReason::bad_key, "second"}, "b"}});
    CHECK(letters.count() == 1);
    CHECK(letters.read_raw(SpoolId{5}) == "b");
    CHECK(letters.list(SpoolId{0}, 10).at(0).rejection.detail == "second");
  }

  TEST_CASE_FIXTURE(Fixture, "letters are there after opening again, in any order of ids") {
    letters.add({{SpoolId{9}, {DeadLetterReason::not_json, ""}, "nine"},
                 {SpoolId{2}, {DeadLetterReason::too_large, ""}, "two"}});
    letters.reopen();
    CHECK(letters.count() == 2);
    CHECK(letters.read_raw(SpoolId{2}) == "two");
    CHECK(letters.read_raw(SpoolId{9}) == "nine");
  }

  TEST_CASE_FIXTURE(Fixture, "the latest come first, and no more than asked for") {
    CHECK(letters.latest(5).empty());
    for (std::uint64_t id = 1; id <= 4; ++id) {
      letters.add({{SpoolId{id}, {DeadLetterReason::not_json, ""}, "x"}});
    }
    const auto latest = letters.latest(3);
    REQUIRE(latest.size() == 3);
    CHECK(latest.front().record.id == SpoolId{4});
    CHECK(latest.back().record.id == SpoolId{2});
    CHECK(letters.latest(10).size() == 4);
  }

  TEST_CASE("every reason has a name of its own") {
    std::set<std::string_view> names;
    for (const DeadLetterReason reason : kDeadLetterReasons) {
      names.insert(to_string(reason));
    }
    CHECK(names.size() == kDeadLetterReasons.size());
    CHECK_FALSE(names.contains("unknown"));
  }

  /// Of several starts with one folder, and a steady clock that the test sets.
  struct Starts {
    test::TempDir dir;
    std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();

    [[nodiscard]] DeadLetters start() {
      return DeadLetters(dir.path(), std::uint64_t{1} << 30, {}, [this] { return now; });
    }
    static void add(DeadLetters& letters, std::uint64_t id) {
      letters.add({{SpoolId{id}, {DeadLetterReason::bad_key, ""}, "raw"}});
    }
  };

  using Ids = std::vector<SpoolId>;

  TEST_CASE_FIXTURE(Starts, "a letter that is written in parts ages once it is whole") {
    DeadLetters letters = start();
    add(letters, 1);  // a crash before its record's removal, so it is written once more
    now += 10h;
    LargeCopy copy;
    const auto add_part = [&] {
      return letters.add_part(
          SpoolId{1}, {DeadLetterReason::too_large, ""}, copy,
          [](std::uint64_t first, std::size_t, const PieceStore::VisitPiece& visit) {
            visit(std::string(PieceStore::kPieceBytes, 'x'));
            return first == 0 ? std::optional<std::uint64_t>(1) : std::nullopt;
          });
    };
    CHECK_FALSE(add_part());
    CHECK(letters.older_than(1h, 10).empty());
    CHECK(add_part());
    CHECK(letters.list(SpoolId{0}, 10).at(0).age == 0h);
    now += 2h;
    CHECK(letters.older_than(1h, 10) == Ids{SpoolId{1}});
  }

  TEST_CASE_FIXTURE(Starts, "a letter's age is the time for which the bridge has run since") {
    {
      DeadLetters letters = start();
      add(letters, 1);
      now += 10h;
      add(letters, 2);  // keeps the running time as well
      now += 5h;
      CHECK(letters.older_than(9h, 10) == Ids{SpoolId{1}});
      CHECK(letters.list(SpoolId{0}, 10).at(0).age == 15h);
      letters.keep_running_time();
    }
    now += 24h * 365;  // it was off
    DeadLetters letters = start();
    CHECK(letters.list(SpoolId{0}, 10).at(0).age == 15h);
    CHECK(letters.list(SpoolId{0}, 10).at(1).age == 5h);
    CHECK(letters.older_than(16h, 10).empty());
    now += 2h;
    CHECK(letters.older_than(16h, 10) == Ids{SpoolId{1}});
    CHECK(letters.older_than(1h, 1) == Ids{SpoolId{1}});
    letters.erase({SpoolId{1}});
    CHECK(letters.older_than(1h, 10) == Ids{SpoolId{2}});
  }

  TEST_CASE_FIXTURE(Starts, "a clock that begins anew, as after a boot, is no jump") {
    {
      DeadLetters letters = start();
      now += 10h;
      add(letters, 1);
    }
    now = std::chrono::steady_clock::time_point(1s);
    DeadLetters letters = start();
    CHECK(letters.list(SpoolId{0}, 10).at(0).age == 0h);
    now += 3h;
    CHECK(letters.list(SpoolId{0}, 10).at(0).age == 3h);
  }

  TEST_CASE_FIXTURE(Starts, "where damage took what is known of an age, it begins anew") {
    {
      DeadLetters letters = start();
      now += 10h;
      add(letters, 1);
      add(letters, 2);
      now += 10h;
      letters.keep_running_time();
    }
    {
      const lmdb::EnvHandle env = lmdb::open_env(dir.path(), std::uint64_t{1} << 30);
      lmdb::Txn txn = lmdb::Txn::write(env.get());
      const MDB_dbi ages = lmdb::open_database(txn, "ages", MDB_INTEGERKEY);
      for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1}}) {
        lmdb::put(txn, ages, {reinterpret_cast<const char*>(&id), sizeof id},
                  std::string(16, '\x7f'));
      }
      std::move(txn).commit();
    }
    DeadLetters letters = start();
    CHECK(letters.older_than(0h, 10).empty());
    now += 1h;
    letters.keep_running_time();
    now += 1h;
    CHECK(letters.list(SpoolId{0}, 10).at(0).age == 1h);
    CHECK(letters.list(SpoolId{0}, 10).at(1).age == 2h);
  }
}

}  // namespace
