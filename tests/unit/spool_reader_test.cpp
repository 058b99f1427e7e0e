#include "m2b/spool/spool_reader.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

namespace fs = std::filesystem;

TEST_SUITE("spool_reader") {
  using namespace m2b;
  using test::append_durably;

  std::map<fs::path, std::string> files_of(const fs::path& folder) {
    std::map<fs::path, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) {
        std::ifstream in(entry.path(), std::ios::binary);
        files[entry.path()] = {std::istreambuf_iterator<char>(in), {}};
      }
    }
    return files;
  }

  /// A spool that is closed, with messages of all sizes and two dead letters.
  struct Fixture {
    test::TempDir dir;
    fs::path folder = dir.path() / "spool";
    std::vector<std::string> payloads{"small", std::string(3000, 'a'), std::string(200'000, 'b'),
                                      "bad one", "bad two"};

    Fixture() {
      Spool spool({.directory = folder, .min_free_bytes = 0});
      for (const std::string& payload : payloads) {
        append_durably(spool, "topic", payload);
      }
      CHECK(spool.bury(SpoolId{4}, {DeadLetterReason::not_json, "first"}) == Burial::done);
      CHECK(spool.bury(SpoolId{5}, {DeadLetterReason::bad_key, "second"}) == Burial::done);
    }
    std::vector<std::string> waiting() const {
      std::vector<std::string> found;
      const SpoolReader reader(folder, {});
      reader.each_record([&](const RecordInfo& record, const SpoolReader::Load& load) {
        const auto raw = load();
        REQUIRE(raw);
        CHECK(is_intact(record.id, *raw));
        CHECK(record.bytes == raw->size());
        CHECK(record.topic == "topic");
        found.emplace_back(test::payload_of(*raw));
      });
      return found;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "all that is in a spool is shown, and nothing is changed") {
    const auto before = files_of(folder);
    CHECK(waiting() == std::vector(payloads.begin(), payloads.begin() + 3));
    const SpoolReader reader(folder, {});
    REQUIRE(reader.totals());
    CHECK(reader.totals()->waiting() == 3);
    CHECK(reader.totals()->dead_lettered == 2);
    CHECK(reader.file_faults().empty());
    std::vector<std::string> details;
    reader.each_letter([&](const LetterInfo& letter, const SpoolReader::Load& load) {
      details.push_back(letter.rejection.detail);
      CHECK(test::payload_of(load().value()).starts_with("bad "));
    });
    CHECK(details == std::vector<std::string>{"first", "second"});
    CHECK(files_of(folder) == before);
  }

  TEST_CASE_FIXTURE(Fixture, "it keeps a daemon away, and a daemon keeps it away") {
    {
      const SpoolReader reader(folder, {});
      const SpoolReader beside_it(folder, {});
      CHECK_THROWS_WITH_AS(Spool({.directory = folder, .min_free_bytes = 0}),
                           doctest::Contains("in use by a tool that reads it"), SpoolInUse);
    }
    const Spool spool({.directory = folder, .min_free_bytes = 0});
    CHECK_THROWS_WITH_AS(SpoolReader(folder, {}), doctest::Contains("in use by process"),
                         SpoolInUse);
  }

  TEST_CASE_FIXTURE(Fixture, "of a damaged file everything is shown that can be read") {
    {
      std::fstream file(folder / "records" / "data.mdb",
                        std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(4096 + 16);
      file.put('x');  // the magic number of one of the two metas
    }
    const SpoolReader reader(folder, {});
    CHECK(reader.file_faults() ==
          std::vector<std::string>{"records/data.mdb: meta page 1 is damaged"});
    std::size_t count = 0;
    reader.each_record([&](const RecordInfo&, const SpoolReader::Load&) { ++count; });
    CHECK(count >= 3);
  }

  TEST_CASE("where no spool is, it says so") {
    const test::TempDir dir;
    CHECK_THROWS_WITH_AS(SpoolReader(dir.path(), {}), doctest::Contains("there is no spool in"),
                         SpoolError);
  }
}

}  // namespace
