#include "spool/mending.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

namespace fs = std::filesystem;

TEST_SUITE("mending") {
  using namespace m2b;
  using test::append_durably;

  std::string read_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  void write_file(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// The payload of message n: of all sizes, and not to be mistaken for another's.
  std::string payload_of(std::uint64_t id) {
    if (id > 60) {
      return "new";  // appended by check_spool()
    }
    std::mt19937_64 random(id);
    std::string payload(100 + random() % (id % 7 == 0 ? 150'000 : 3000), '\0');
    for (char& byte : payload) {
      byte = static_cast<char>(random());
    }
    return payload;
  }

  /// A spool with messages in it and a life behind it, whose files are damaged while it is closed.
  struct Fixture {
    test::TempDir dir;
    SpoolOptions options{.directory = dir.path() / "spool", .max_bytes = 0, .min_free_bytes = 0};
    fs::path records = options.directory / "records" / "data.mdb";
    fs::path letters = options.directory / "dead-letters" / "data.mdb";
    std::set<std::uint64_t> waiting;
    SpoolTotals totals;

    Fixture() {
      Spool spool(options);
      static_cast<void>(spool.write_note("name", "text").get());
      for (std::uint64_t id = 1; id <= 60; ++id) {
        append_durably(spool, "topic", payload_of(id));
        waiting.insert(id);
        if (id % 3 == 0) {
          CHECK(spool.remove_stored(SpoolId{id / 3}));
          waiting.erase(id / 3);
        }
      }
      CHECK(spool.bury(SpoolId{60}, {DeadLetterReason::not_json, ""}) == Burial::done);
      waiting.erase(60);
      spool.close();
      totals = spool.totals();
      CHECK(totals.waiting() == waiting.size());
    }

    /// What a spool must be after any damage: usable, with sound accounts, and nothing in it that
    /// was not appended. Returns how many of the waiting messages came through.
    std::size_t check_spool(std::optional<std::uint64_t> received) const {
      Spool spool(options);
      const SpoolTotals now = spool.totals();
      const auto entries = spool.list(SpoolId{0}, 1000);
      REQUIRE(entries);
      CHECK(now.waiting() == entries->size());
      std::size_t came_through = 0;
      for (const SpoolEntry& entry : *entries) {
        const ReadResult read = spool.read(entry.id);
        if (const auto* const record = std::get_if<Record>(&read)) {
          REQUIRE(record->message().payload == payload_of(to_number(entry.id)));
          came_through += waiting.contains(to_number(entry.id)) ? 1 : 0;
        } else {
          REQUIRE(std::holds_alternative<DamagedRecord>(read));
        }
      }
      if (received) {
        CHECK(now.received == *received);
        CHECK(now.set_aside + entries->size() >= waiting.size());
      }
      // It works on, and no id is given twice.
      append_durably(spool, "topic", payload_of(61));
      CHECK(spool.remove_stored(entries->empty() ? SpoolId{1} : entries->front().id));
      const auto more = spool.list(entries->empty() ? SpoolId{60} : entries->back().id, 1000);
      REQUIRE(more);
      CHECK(more->size() == 1);
      return came_through;
    }
    std::uint64_t set_aside() const { return Spool(options).files_set_aside(); }
  };

  TEST_CASE_FIXTURE(Fixture, "a sound spool is left alone") {
    CHECK(check_spool(60) == waiting.size());
    CHECK(set_aside() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a flipped bit anywhere costs one message at most, or none is lost") {
    const std::string sound = read_file(records);
    std::mt19937_64 random(3);
    std::size_t most_lost = 0;
    for (int i = 0; i < 60; ++i) {
      // The pages at the start and the end are those of the trees.
      const std::size_t pages = sound.size() / 4096;
      const std::size_t page =
          i % 2 == 0 ? random() % pages : random() % std::min<std::size_t>(pages, 8);
      const std::size_t at = page * 4096 + random() % 4096;
      CAPTURE(at);
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1U << (random() % 8)));
      fs::remove_all(options.directory / "set-aside");
      write_file(records, damaged);
      fs::remove(options.directory / "records" / "lock.mdb");
      const std::size_t came_through = check_spool(60);
      most_lost = std::max(most_lost, waiting.size() - came_through);
    }
    // A damaged leaf takes the small messages in it along.
    CHECK(most_lost <= 10);
  }

  TEST_CASE_FIXTURE(Fixture, "a file of rubbish, an empty one and a missing one are set aside") {
    for (const std::string& bytes : {std::string(40'000, 'g'), std::string(), std::string("-")}) {
      write_file(records, bytes);
      if (bytes == "-") {
        fs::remove(records);
      }
      CHECK(check_spool(std::nullopt) == 0);
      write_file(letters, bytes);
      CHECK(Spool(options).dead_letters_kept() == 0);
    }
    CHECK(set_aside() == 6);
    const auto kept = fs::directory_iterator(options.directory / "set-aside");
    CHECK(std::any_of(begin(kept), end(kept), [](const fs::directory_entry& entry) {
      return fs::exists(entry.path() / "data.mdb") &&
             fs::file_size(entry.path() / "data.mdb") == 40'000;
    }));
  }

  TEST_CASE_FIXTURE(Fixture, "a cut file gives what is left of it") {
    const std::string sound = read_file(records);
    for (const std::size_t part : {1U, 3U, 5U, 7U}) {
      write_file(records, sound.substr(0, sound.size() * part / 8));
      static_cast<void>(check_spool(std::nullopt));
    }
    CHECK(set_aside() >= 1);
  }

  TEST_CASE_FIXTURE(Fixture, "zeroed pages cost what was on them") {
    const std::string sound = read_file(records);
    for (std::size_t page = 0; page < sound.size() / 4096; page += 15) {
      CAPTURE(page);
      std::string damaged = sound;
      damaged.replace(page * 4096, 4096, 4096, '\0');
      write_file(records, damaged);
      static_cast<void>(check_spool(std::nullopt));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "dead letters are mended as well") {
    std::string damaged = read_file(letters);
    damaged.replace(4096, 4096, 4096, '\0');  // the older meta page
    write_file(letters, damaged);
    const Spool spool(options);
    CHECK(spool.files_set_aside() == 1);
    CHECK(spool.dead_letters_kept() == 1);
    CHECK(std::get<std::string>(spool.read_note("name")) == "text");
  }

  TEST_CASE_FIXTURE(Fixture, "without the newest meta page nothing is lost either") {
    const std::string sound = read_file(records);
    for (const std::size_t meta : {0U, 1U}) {
      std::string damaged = sound;
      damaged.replace(meta * 4096, 4096, 4096, '\0');
      write_file(records, damaged);
      CHECK(check_spool(60) == waiting.size());
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a mending that was killed goes on, wherever it stood") {
    const fs::path folder = options.directory / "records";
    const fs::path fresh = options.directory / "records.fresh";
    std::string damaged = read_file(records);
    damaged[4096] = 'x';  // one of the two meta pages

    write_file(records, damaged);  // before anything was carried over
    fs::create_directory(fresh);
    CHECK(check_spool(60) == waiting.size());
    CHECK_FALSE(fs::exists(fresh));

    fs::rename(folder, fresh);  // between the last two steps
    CHECK(check_spool(61) >= waiting.size() - 1);
    CHECK_FALSE(fs::exists(fresh));

    fs::copy(folder, fresh);  // all was carried over
    CHECK(check_spool(62) >= waiting.size() - 2);
    CHECK_FALSE(fs::exists(fresh));

    fs::create_directory(fresh);  // and the fresh one is damaged
    write_file(fresh / "data.mdb", std::string(20'000, 'g'));
    CHECK(check_spool(63) >= waiting.size() - 3);
    CHECK_FALSE(fs::exists(fresh));
  }
}

}  // namespace
