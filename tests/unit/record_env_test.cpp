#include "spool/record_env.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "m2b/spool/repair.hpp"
#include "m2b/spool/spool.hpp"
#include "spool/mending.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

namespace fs = std::filesystem;

TEST_SUITE("record_env") {
  using namespace m2b;

  constexpr std::uint64_t kMapBytes = std::uint64_t{1} << 30;

  void append_in_one_commit(RecordEnv & env, const std::vector<std::string>& payloads) {
    RecordEnv::Batch batch(env);
    for (const std::string& payload : payloads) {
      batch.append(test::message("t", payload));
    }
    static_cast<void>(std::move(batch).commit());
  }

  /// Transaction number of a meta page: MDB_page's header of 16 bytes, then 120 bytes of MDB_meta.
  std::uint64_t commit_of(const std::string& file, std::size_t meta) {
    std::uint64_t number = 0;
    std::memcpy(&number, &file[meta * 4096 + 16 + 120], sizeof number);
    return number;
  }

  void lose_newest_commit(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::string file{std::istreambuf_iterator<char>(in), {}};
    const std::size_t newest = commit_of(file, 0) > commit_of(file, 1) ? 0 : 1;
    std::fill_n(&file[newest * 4096], 4096, '\0');
    std::ofstream(path, std::ios::binary | std::ios::trunc) << file;
  }

  /// Two commits of several messages each, of which the second one is lost.
  struct Fixture {
    test::TempDir dir;
    fs::path spool = dir.path() / "spool";
    fs::path folder = spool / "records";

    Fixture() {
      fs::create_directories(folder);
      {
        RecordEnv env(folder, kMapBytes, {});
        append_in_one_commit(env, {"1", "2"});
        append_in_one_commit(env, {"3", std::string(200'000, '4'), "5"});
      }
      lose_newest_commit(folder / "data.mdb");
    }
    std::string found() const {
      std::string ids;
      walk_all_records(
          lmdb::File(folder / "data.mdb"),
          [&](SpoolId id, std::string_view, std::size_t bytes, const LoadRecord& load) {
            const auto raw = load();
            REQUIRE(raw);
            CHECK(raw->size() == bytes);
            CHECK(is_intact(id, *raw));
            ids += std::to_string(to_number(id)) + " ";
          });
      return ids;
    }
    /// What repair brings back when mending had to stop behind that id.
    RepairReport repair_after(std::uint64_t id) const {
      const fs::path shelf = spool / "set-aside";
      fs::create_directories(shelf);
      fs::rename(folder,
                 shelf / ("records-20261126T000000Z-incomplete-after-" + std::to_string(id)));
      { const Spool fresh({.directory = spool, .min_free_bytes = 0}); }
      return repair_spool(spool, {});
    }
  };

  TEST_CASE_FIXTURE(Fixture, "messages of a commit that is lost are found behind the others") {
    CHECK(found() == "1 2 3 4 5 ");
  }

  TEST_CASE_FIXTURE(Fixture, "one of them that is damaged is not") {
    std::fstream file(folder / "data.mdb", std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    file.clear();
    file.seekp(static_cast<std::streamoff>(bytes.find("4444") + 100'000)).put('x');
    file.close();
    CHECK(found() == "1 2 3 5 ");
  }

  TEST_CASE_FIXTURE(Fixture, "repair takes back those that had no room, and no others") {
    std::uint64_t after = 0;
    SUBCASE("none had") { after = 0; }
    SUBCASE("it was found out in the last whole commit") { after = 1; }
    SUBCASE("in the one that is lost") { after = 3; }
    const RepairReport report = repair_after(after);
    CHECK(report.taken_back == 5 - after);
    CHECK(report.unreadable == 0);
    CHECK(report.failure.empty());
  }

  TEST_CASE_FIXTURE(Fixture, "where there is room all of them come over, and the sum is right") {
    const RecordEnv env(folder, kMapBytes, {});
    CHECK(fs::exists(spool / "set-aside"));
    CHECK(env.totals().received == 5);
    CHECK(env.totals().waiting() == 5);
    CHECK(env.totals().set_aside == 0);
    CHECK(found() == "1 2 3 4 5 ");
  }
}

}  // namespace
