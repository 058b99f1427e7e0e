#include "spool/letter_mover.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "spool/record_codec.hpp"
#include "support/eventually.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("letter_mover") {
  using namespace m2b;
  using namespace std::chrono_literals;
  using test::append_durably;
  using test::eventually;

  using Ids = std::vector<SpoolId>;

  Ids ids_of(const std::vector<LetterInfo>& letters) {
    Ids ids;
    for (const LetterInfo& letter : letters) {
      ids.push_back(letter.record.id);
    }
    return ids;
  }

  /// Both environments without the writer, so that a test can stop between two steps.
  struct Environments {
    static constexpr std::uint64_t kMapBytes = std::uint64_t{1} << 30;

    test::TempDir dir;
    std::filesystem::path records_path = made("records");
    std::filesystem::path letters_path = made("dead-letters");
    RecordEnv records{records_path, kMapBytes, {}};
    std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
    DeadLetters letters = opened_letters();

    DeadLetters opened_letters() {
      return DeadLetters(letters_path, kMapBytes, {}, [this] { return now; });
    }

    std::filesystem::path made(const char* name) const {
      std::filesystem::create_directory(dir.path() / name);
      return dir.path() / name;
    }

    /// A message that has become a letter.
    SpoolId bury(const std::string& payload, DeadLetterReason reason = DeadLetterReason::not_json) {
      const SpoolId id = append(payload);
      letters.add({{id, {reason, "detail"}, *records.read_raw(id)}});
      RecordEnv::Batch batch(records);
      batch.erase(id, true);
      static_cast<void>(std::move(batch).commit());
      return id;
    }
    SpoolId append(const std::string& payload) {
      RecordEnv::Batch batch(records);
      const SpoolId id = batch.append(test::message("topic", payload));
      static_cast<void>(std::move(batch).commit());
      return id;
    }
    Ids kept() const { return ids_of(letters.list(SpoolId{0}, 1000)); }
    bool adds_up() const {
      return records.totals().waiting() == records.list(SpoolId{0}, 1000).size() &&
             records.totals().dead_lettered == letters.count();
    }
    LettersMoved move(LetterMover& mover, LetterMove what, const Ids& ids) const {
      LettersMoved moved;
      mover.move(what, ids, moved);
      return moved;
    }
  };

  TEST_CASE_FIXTURE(Environments, "a replayed letter waits again, as it came, under a new id") {
    const SpoolId one = bury("one");
    const SpoolId two = bury("two");
    LetterMover mover({}, records, letters);
    CHECK(move(mover, LetterMove::replay, {one}).moved == 1);
    CHECK(kept() == Ids{two});
    const auto waiting = records.describe(SpoolId{0}, 10);
    REQUIRE(waiting.size() == 1);
    CHECK(waiting[0].id > two);
    CHECK(waiting[0].topic == "topic");
    const auto read = records.read(waiting[0].id);
    REQUIRE(std::holds_alternative<Record>(read));
    CHECK(std::get<Record>(read).message().payload == "one");
    CHECK(records.totals().received == 2);
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments, "a dropped letter is gone, and counted as dropped") {
    const SpoolId one = bury("one");
    const SpoolId two = bury("two");
    LetterMover mover({}, records, letters);
    CHECK(move(mover, LetterMove::drop, {one, one, SpoolId{77}}).moved == 1);
    CHECK(kept() == Ids{two});
    CHECK(records.totals().dropped == 1);
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments, "more letters than one transaction takes are all moved") {
    Ids ids;
    for (int i = 0; i < 1500; ++i) {
      ids.push_back(bury("x"));
    }
    LetterMover mover({}, records, letters);
    CHECK(move(mover, LetterMove::drop, ids).moved == 1500);
    CHECK(kept().empty());
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments, "a letter that is not what was received cannot be replayed") {
    const SpoolId id = append("payload");
    std::string raw = *records.read_raw(id);
    raw.back() ^= 1;
    letters.add({{id, {DeadLetterReason::damaged, ""}, raw}});
    RecordEnv::Batch batch(records);
    batch.erase(id, true);
    static_cast<void>(std::move(batch).commit());
    LetterMover mover({}, records, letters);
    const LettersMoved moved = move(mover, LetterMove::replay, {id});
    CHECK(moved.moved == 0);
    CHECK(moved.damaged == Ids{id});
    CHECK(kept() == Ids{id});
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments, "a letter whose record still waits is left alone") {
    const SpoolId id = append("payload");
    letters.add({{id, {DeadLetterReason::not_json, ""}, *records.read_raw(id)}});
    LetterMover mover({}, records, letters);
    CHECK(move(mover, LetterMove::drop, {id}).moved == 0);
    CHECK(move(mover, LetterMove::replay, {id}).moved == 0);
    CHECK(kept() == Ids{id});
    CHECK(records.totals().waiting() == 1);
    CHECK(records.totals().dead_lettered == 0);
  }

  TEST_CASE_FIXTURE(Environments, "a crash between the accounts and the letters is mended") {
    const SpoolId one = bury("one");
    const SpoolId two = bury("two");
    {
      RecordEnv::Batch batch(records);  // as far as a move comes before the letters go
      batch.drop_letters(2);
      batch.put_note("dead_letters.leaving",
                     std::to_string(to_number(one)) + "," + std::to_string(to_number(two)));
      static_cast<void>(std::move(batch).commit());
    }
    const SpoolId three = bury("three");
    const LetterMover mover({}, records, letters);
    CHECK(kept() == Ids{three});
    CHECK(records.totals().dropped == 2);
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments, "a letter whose record has come back by damage counts once") {
    const SpoolId stored = append("stored");
    const SpoolId letter = append("letter");
    letters.add({{letter, {DeadLetterReason::not_json, ""}, *records.read_raw(letter)}});
    {
      // As mending leaves it: the accounts know the burial, the record waits again, and one less
      // is taken to be stored.
      RecordEnv::Batch batch(records);
      batch.erase(stored, false);
      batch.settle_letters(1, 0);
      static_cast<void>(std::move(batch).commit());
    }
    CHECK(records.totals().dead_lettered == 1);
    const LetterMover mover({}, records, letters);
    CHECK(records.totals().dead_lettered == 0);
    CHECK(records.totals().set_aside == 0);
    CHECK(records.totals().stored == 2);
    CHECK(records.totals().waiting() == 1);
  }

  TEST_CASE_FIXTURE(Environments, "letters that were lost to damage are told as set aside") {
    const SpoolId one = bury("one");
    bury("two");
    letters.erase({one});
    const LetterMover mover({}, records, letters);
    CHECK(records.totals().set_aside == 1);
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments,
                    "letters that accounts which began anew do not know are counted") {
    const SpoolId one = append("one");
    letters.add({{SpoolId{900}, {DeadLetterReason::not_json, ""}, *records.read_raw(one)}});
    const LetterMover mover({}, records, letters);
    CHECK(records.totals().dead_lettered == 1);
    CHECK(records.totals().received == 2);
    CHECK(adds_up());
    CHECK(append("two") == SpoolId{901});  // a letter of that id would replace the one there is
  }

  TEST_CASE_FIXTURE(Environments, "over the limit of bytes the oldest go, as many as must") {
    const std::string big(300'000, 'x');
    Ids all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(bury(big));
    }
    LetterMover mover({.max_bytes = 1'000'000}, records, letters);
    mover.enforce_limits(true);
    CHECK(letters.used_bytes() <= 1'000'000);
    CHECK(kept() == Ids(all.end() - static_cast<std::ptrdiff_t>(kept().size()), all.end()));
    CHECK(kept().size() >= 2);
    CHECK(records.totals().dropped == 10 - kept().size());
    CHECK(adds_up());
  }

  TEST_CASE_FIXTURE(Environments, "within the limits nothing goes") {
    bury("one");
    LetterMover mover({.max_bytes = 1'000'000, .max_age = 1h}, records, letters);
    mover.enforce_limits(true);
    CHECK(kept().size() == 1);
  }

  TEST_CASE("the spool enforces the limits by itself, and replays at a wish") {
    const test::TempDir dir;
    Spool spool(
        {.directory = dir.path() / "spool", .min_free_bytes = 0, .dead_letter_max_bytes = 200'000});
    append_durably(spool, "t", "small");
    CHECK(spool.bury(SpoolId{1}, {DeadLetterReason::not_json, ""}) == Burial::done);
    std::atomic<int> news = 0;
    spool.set_append_listener([&] { ++news; });
    CHECK(spool.move_letters(LetterMove::replay, {SpoolId{1}}).get().moved == 1);
    CHECK(news > 0);
    CHECK(spool.totals().waiting() == 1);
    CHECK(spool.dead_letters_kept() == 0);

    const std::string big(150'000, 'x');
    append_durably(spool, "t", big);
    append_durably(spool, "t", big);
    CHECK(spool.bury(SpoolId{3}, {DeadLetterReason::not_json, ""}) == Burial::done);
    CHECK(spool.bury(SpoolId{4}, {DeadLetterReason::not_json, ""}) == Burial::done);
    CHECK(eventually([&] { return spool.totals().dropped == 1; }));
    const auto left = spool.describe_letters(SpoolId{0}, 10);
    REQUIRE(left);
    CHECK(ids_of(*left) == Ids{SpoolId{4}});
    spool.set_append_listener(nullptr);
    spool.close();
    CHECK(spool.move_letters(LetterMove::drop, {SpoolId{4}}).get().failure ==
          "the spool is closed");
  }

  TEST_CASE_FIXTURE(Environments, "letters that are too old go, the others stay") {
    const SpoolId late = append("waits for long");
    bury("old");
    LetterMover mover({.max_age = 1h}, records, letters);
    now += 59min;
    letters.add({{late, {DeadLetterReason::not_json, "detail"}, *records.read_raw(late)}});
    {
      RecordEnv::Batch batch(records);
      batch.erase(late, true);
      static_cast<void>(std::move(batch).commit());
    }
    mover.enforce_limits(true);
    CHECK(kept().size() == 2);
    now += 2min;
    mover.enforce_limits(false);
    CHECK(kept().size() == 2);
    mover.enforce_limits(true);
    CHECK(kept() == Ids{late});  // the lower id, and the younger letter
    CHECK(adds_up());
  }
}

}  // namespace
