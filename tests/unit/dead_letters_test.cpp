#include "spool/dead_letters.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("dead_letters") {
  using namespace m2b;

  struct Fixture {
    test::TempDir dir;
    DeadLetters letters{dir.path(), std::uint64_t{1} << 30};
  };

  TEST_CASE_FIXTURE(Fixture, "a letter is kept with reason, detail and raw bytes") {
    const std::string raw(200'000, 'r');
    letters.add({{SpoolId{5}, {DeadLetterReason::bad_key, "leading '/'"}, raw}});
    const auto kept = letters.find(SpoolId{5});
    REQUIRE(kept);
    CHECK(kept->raw == raw);
    CHECK(kept->rejection.reason == DeadLetterReason::bad_key);
    CHECK(kept->rejection.detail == "leading '/'");
    CHECK(kept->added_at <= wall_now());
    CHECK_FALSE(letters.find(SpoolId{6}));
  }

  TEST_CASE_FIXTURE(Fixture,
                    "the same id again replaces the letter: a crash may have come between") {
    letters.add({{SpoolId{5}, {DeadLetterReason::bad_key, "first"}, std::string(100'000, 'a')}});
    letters.add({{SpoolId{5}, {DeadLetterReason::bad_key, "second"}, "b"}});
    CHECK(letters.count() == 1);
    CHECK(letters.find(SpoolId{5})->raw == "b");
    CHECK(letters.find(SpoolId{5})->rejection.detail == "second");
  }

  TEST_CASE_FIXTURE(Fixture, "letters are there after opening again, in any order of ids") {
    letters.add({{SpoolId{9}, {DeadLetterReason::not_json, ""}, "nine"},
                 {SpoolId{2}, {DeadLetterReason::too_large, ""}, "two"}});
    letters.reopen();
    CHECK(letters.count() == 2);
    CHECK(letters.find(SpoolId{2})->raw == "two");
    CHECK(letters.find(SpoolId{9})->raw == "nine");
  }

  TEST_CASE("every reason has a name of its own") {
    std::set<std::string_view> names;
    for (const DeadLetterReason reason : kDeadLetterReasons) {
      names.insert(to_string(reason));
    }
    CHECK(names.size() == kDeadLetterReasons.size());
    CHECK_FALSE(names.contains("unknown"));
  }
}

}  // namespace
