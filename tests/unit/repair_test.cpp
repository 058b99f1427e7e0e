#include "m2b/spool/repair.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "spool/mending.hpp"
#include "support/keys.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

namespace fs = std::filesystem;

TEST_SUITE("repair") {
  using namespace m2b;
  using test::append_durably;

  struct Fixture {
    test::TempDir dir;
    SpoolOptions options{.directory = dir.path() / "spool", .min_free_bytes = 0};
    fs::path set_aside = options.directory / "set-aside";

    /// A folder as mending leaves it on a full disk: of six messages the first two were carried
    /// over.
    fs::path leave_incomplete() {
      {
        Spool spool(options);
        for (const char* payload : {"1", "2", "3", "4", "5", "6"}) {
          append_durably(spool, "t", payload);
        }
      }
      const fs::path kept = set_aside / "records-20261125T000000Z-incomplete-after-2";
      fs::create_directories(set_aside);
      fs::rename(options.directory / "records", kept);
      Spool spool(options);
      append_durably(spool, "t", "1");
      append_durably(spool, "t", "2");
      return kept;
    }
    std::multiset<std::string> waiting() const {
      std::multiset<std::string> payloads;
      const Spool spool(options);
      const auto records = spool.describe(SpoolId{0}, 100);
      REQUIRE(records);
      for (const RecordInfo& record : *records) {
        const ReadResult read = spool.read(record.id);
        payloads.emplace(std::get<Record>(read).message().payload);
      }
      CHECK(spool.totals().waiting() == payloads.size());
      return payloads;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "a sound spool stays as it is") {
    { Spool spool(options); }
    const RepairReport report = repair_spool(options.directory, {});
    CHECK(report.set_aside.empty());
    CHECK(report.taken_back == 0);
    CHECK(report.failure.empty());
  }

  TEST_CASE_FIXTURE(Fixture, "what had no room waits again, once") {
    const fs::path kept = leave_incomplete();
    const RepairReport report = repair_spool(options.directory, {});
    CHECK(report.taken_back == 4);
    CHECK(report.unreadable == 0);
    CHECK_FALSE(fs::exists(kept));
    CHECK(fs::exists(set_aside / "records-20261125T000000Z-taken-back-after-2" / "data.mdb"));
    CHECK(waiting() == std::multiset<std::string>{"1", "2", "3", "4", "5", "6"});
    CHECK(repair_spool(options.directory, {}).taken_back == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "encrypted messages need no key to be taken back") {
    options.keys = test::key_ring(test::kOneKey);
    static_cast<void>(leave_incomplete());
    const RepairReport report = repair_spool(options.directory, {});
    CHECK(report.taken_back == 4);
    CHECK(report.unreadable == 0);
    CHECK(waiting() == std::multiset<std::string>{"1", "2", "3", "4", "5", "6"});
  }

  TEST_CASE_FIXTURE(Fixture, "with a key, what stands in the clear is taken back encrypted") {
    static_cast<void>(leave_incomplete());
    options.keys = test::key_ring(test::kOneKey);
    CHECK(repair_spool(options.directory, options.keys).taken_back == 4);
    CHECK(waiting() == std::multiset<std::string>{"1", "2", "3", "4", "5", "6"});
    const Spool spool(options);
    CHECK_FALSE(spool.describe(SpoolId{2}, 1)->empty());
    CHECK(spool.describe(SpoolId{2}, 1)->at(0).key.has_value());
  }

  TEST_CASE_FIXTURE(Fixture, "a crash in between repeats nothing") {
    const fs::path kept = leave_incomplete();
    {
      Spool spool(options);  // as if "3" and "4" had been taken back when the crash came
      append_durably(spool, "t", "3");
      append_durably(spool, "t", "4");
      static_cast<void>(spool.write_note("repair." + kept.filename().string(), "4").get());
    }
    CHECK(repair_spool(options.directory, {}).taken_back == 2);
    CHECK(waiting() == std::multiset<std::string>{"1", "2", "3", "4", "5", "6"});
  }

  TEST_CASE_FIXTURE(Fixture, "damage deep inside is mended") {
    {
      Spool spool(options);
      append_durably(spool, "t", std::string(100'000, 'x'));
    }
    std::fstream file(options.directory / "records" / "data.mdb",
                      std::ios::in | std::ios::out | std::ios::binary);
    constexpr std::streamoff kPage = 4096;
    char header[16];
    for (std::streamoff page = 2; file.seekg(page * kPage).read(header, sizeof header); ++page) {
      if (header[10] == 4 && header[12] == 16) {  // the first page of a piece of 16 pages
        file.seekp(page * kPage + 12).put(17);
      }
    }
    file.close();
    CHECK(repair_spool(options.directory, {}).set_aside.size() == 1);
    CHECK(waiting().size() == 1);
  }

  TEST_CASE("the mark of a folder tells where to go on") {
    CHECK(rest_of("/x/records-20261125T000000Z-incomplete-after-17") == 17);
    CHECK(rest_of("/x/records-20261125T000000Z-incomplete-after-17-2") == 17);
    CHECK_FALSE(rest_of("/x/records-20261125T000000Z"));
    CHECK_FALSE(rest_of("/x/records-20261125T000000Z-taken-back-after-17"));
  }

  TEST_CASE("where no spool is, it says so and makes none") {
    const test::TempDir dir;
    CHECK_THROWS_WITH(repair_spool(dir.path(), {}), doctest::Contains("there is no spool in"));
    CHECK(fs::is_empty(dir.path()));
  }
}

}  // namespace
