#include "spool/lmdb_file.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "spool/lmdb.hpp"
#include "spool/piece_store.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("lmdb_file") {
  using namespace m2b;
  using Snapshot = lmdb::File::Snapshot;
  using Scrutiny = lmdb::File::Scrutiny;
  using Content = std::map<std::string, std::string>;

  constexpr std::uint64_t kMapBytes = std::uint64_t{1} << 30;

  std::string random_text(std::mt19937_64 & random, std::size_t most) {
    std::string text(random() % most, '\0');
    for (char& byte : text) {
      byte = static_cast<char>(random());
    }
    return text;
  }

  std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  /// Metas, branches and leaves, those of older commits too.
  std::vector<std::size_t> pages_of_trees(const std::string& file) {
    std::vector<std::size_t> pages;
    for (std::size_t page = 0; page < file.size() / lmdb::File::kPageBytes; ++page) {
      const char flags = file[page * lmdb::File::kPageBytes + 10];
      if (page < 2 || flags == 1 || flags == 2) {
        pages.push_back(page);
      }
    }
    return pages;
  }

  /// Where the keys of a page of a tree begin, if all of them have eight bytes: no names of
  /// databases.
  std::vector<std::size_t> numbers_in(const std::string& file, std::size_t page) {
    const auto load = [&](std::size_t at) {
      std::uint16_t number = 0;
      std::memcpy(&number, &file[at], sizeof number);
      return number;
    };
    const std::size_t start = page * lmdb::File::kPageBytes;
    std::vector<std::size_t> keys;
    for (std::size_t at = 16; page >= 2 && at < load(start + 12); at += 2) {
      const std::size_t node = start + load(start + at);
      if (load(node + 6) == 8) {
        keys.push_back(node + 8);
      } else if (load(node + 6) != 0) {  // the first one of a branch has none
        return {};
      }
    }
    return keys;
  }

  void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// What LMDB reads.
  Content content_by_lmdb(const std::filesystem::path& folder) {
    const lmdb::EnvHandle env = lmdb::open_env(folder, kMapBytes);
    const lmdb::Txn txn = lmdb::Txn::read(env.get());
    MDB_dbi dbi = 0;
    lmdb::check(mdb_dbi_open(txn.get(), "records", 0, &dbi), "mdb_dbi_open");
    const lmdb::CursorHandle cursor = lmdb::open_cursor(txn, dbi);
    Content content;
    MDB_val key{};
    MDB_val value{};
    while (mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT) == MDB_SUCCESS) {
      content[std::string(lmdb::to_view(key))] = lmdb::to_view(value);
    }
    return content;
  }

  Content content_by_file(const lmdb::File& file, Snapshot snapshot = Snapshot::newest) {
    Content content;
    file.walk(snapshot, "records", [&](std::string_view key, const lmdb::File::Value& value) {
      if (const auto bytes = file.load(value)) {
        content[std::string(key)] = *bytes;
      }
    });
    return content;
  }

  /// A folder with an environment that has a life behind it: values of all sizes, added and
  /// removed in many transactions.
  struct Fixture {
    test::TempDir dir;
    std::filesystem::path path = dir.path() / "data.mdb";

    void live(int transactions, std::size_t most_bytes, unsigned seed = 1) {
      std::mt19937_64 random(seed);
      const lmdb::EnvHandle env = lmdb::open_env(dir.path(), kMapBytes);
      std::uint64_t next = 1;
      std::vector<std::uint64_t> there;
      for (int i = 0; i < transactions; ++i) {
        lmdb::Txn txn = lmdb::Txn::write(env.get());
        const PieceStore records(txn, "records");
        const MDB_dbi accounts = lmdb::open_database(txn, "accounts", MDB_CREATE);
        for (std::uint64_t n = random() % 4; n > 0; --n) {
          const std::string value = random_text(random, most_bytes);
          records.append(txn, SpoolId{next}, {value, "end"});
          there.push_back(next++);
        }
        for (std::uint64_t n = random() % 4; n > 0 && there.size() > 20; --n) {
          const auto victim = there.begin() + static_cast<std::ptrdiff_t>(random() % there.size());
          static_cast<void>(records.erase(txn, SpoolId{*victim}));
          there.erase(victim);
        }
        lmdb::put(txn, accounts, "totals", std::to_string(next));
        std::move(txn).commit();
      }
    }
  };

  TEST_CASE_FIXTURE(Fixture, "a sound file has no fault, and the same content as for LMDB") {
    for (const std::size_t most_bytes : {100U, 3000U, 200'000U}) {
      for (const int transactions : {1, 2, 3, 50, 150}) {
        CAPTURE(most_bytes);
        CAPTURE(transactions);
        std::filesystem::remove(path);
        live(transactions, most_bytes);
        const lmdb::File file(path);
        CHECK(file.find_fault(Scrutiny::values).value_or("") == "");
        CHECK(content_by_file(file) == content_by_lmdb(dir.path()));
      }
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a file without any commit is sound") {
    { const lmdb::EnvHandle env = lmdb::open_env(dir.path(), kMapBytes); }
    CHECK(lmdb::File(path).find_fault(Scrutiny::values).value_or("") == "");
    CHECK(content_by_file(lmdb::File(path)).empty());
    write_file(path, "");
    CHECK(lmdb::File(path).is_empty());
  }

  TEST_CASE_FIXTURE(Fixture, "a flipped bit is a fault, or LMDB reads the same keys") {
    live(150, 5000);
    const Content content = content_by_lmdb(dir.path());
    const std::string sound = read_file(path);
    std::mt19937_64 random(7);
    const std::vector<std::size_t> tree_pages = pages_of_trees(sound);
    int faults = 0;
    constexpr int kFlips = 200;
    for (int i = 0; i < kFlips; ++i) {
      // Half of them in the headers of tree pages and metas, which matter most.
      const std::size_t page = i % 4 == 1 ? random() % 2 : tree_pages[random() % tree_pages.size()];
      const std::size_t at =
          i % 2 == 0 ? random() % sound.size() : page * lmdb::File::kPageBytes + random() % 200;
      const auto bit = static_cast<char>(1U << (random() % 8));
      CAPTURE(at);
      CAPTURE(int{bit});
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ bit);
      write_file(path, damaged);
      const lmdb::File file(path);
      const auto fault = file.find_fault(Scrutiny::values);
      const Content seen = content_by_file(file);
      if (fault) {
        ++faults;
        for (const auto& [key, value] : seen) {
          REQUIRE(value.size() < 5100);
        }
        continue;
      }
      REQUIRE(content_by_lmdb(dir.path()) == seen);
      REQUIRE(seen.size() == content.size());
      for (const auto& [key, value] : content) {
        const auto found = seen.find(key);
        REQUIRE(found != seen.end());
        REQUIRE(found->second.size() == value.size());
      }
    }
    CHECK(faults > kFlips / 20);
  }

  TEST_CASE_FIXTURE(Fixture, "cut, zeroed and overwritten files never crash the reader") {
    live(150, 5000);
    const std::string sound = read_file(path);
    std::mt19937_64 random(9);
    for (int i = 0; i < 150; ++i) {
      std::string damaged = sound;
      const std::size_t from = random() % damaged.size();
      const std::size_t length = std::min<std::size_t>(random() % 20'000, damaged.size() - from);
      switch (i % 3) {
        case 0:
          damaged.resize(from);
          break;
        case 1:
          damaged.replace(from, length, length, '\0');
          break;
        default:
          for (std::size_t at = from; at < from + length; ++at) {
            damaged[at] = static_cast<char>(random());
          }
      }
      write_file(path, damaged);
      const lmdb::File file(path);
      static_cast<void>(file.find_fault(Scrutiny::values));
      static_cast<void>(content_by_file(file));
      static_cast<void>(content_by_file(file, Snapshot::previous));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "what stands behind a damaged page is found all the same") {
    live(300, 1500);
    const Content content = content_by_lmdb(dir.path());
    const std::string sound = read_file(path);
    std::size_t most_lost = 0;
    for (std::size_t page = 2; page < sound.size() / lmdb::File::kPageBytes; ++page) {
      std::string damaged = sound;
      damaged.replace(page * lmdb::File::kPageBytes, lmdb::File::kPageBytes, lmdb::File::kPageBytes,
                      '\0');
      write_file(path, damaged);
      const lmdb::File file(path);
      Content seen = content_by_file(file);
      if (!file.find_fault(Scrutiny::values)) {
        CHECK(seen == content);
        continue;
      }
      seen.merge(content_by_file(file, Snapshot::previous));
      std::size_t lost = 0;
      for (const auto& [key, value] : content) {
        lost += seen.contains(key) ? 0 : 1;
      }
      most_lost = std::max(most_lost, lost);
    }
    CHECK(most_lost < content.size() / 4);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a damaged key costs no more than itself and the one it pretends to be") {
    live(600, 200);
    const Content content = content_by_lmdb(dir.path());
    const std::string sound = read_file(path);
    std::mt19937_64 random(5);
    int faults = 0;
    for (const std::size_t page : pages_of_trees(sound)) {
      const std::vector<std::size_t> keys = numbers_in(sound, page);
      for (int i = 0; i < 20 && !keys.empty(); ++i) {
        const std::size_t at = keys[random() % keys.size()] + random() % 8;
        CAPTURE(at);
        std::string damaged = sound;
        damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1U << (random() % 8)));
        write_file(path, damaged);
        const lmdb::File file(path);
        faults += file.find_fault(Scrutiny::trees) ? 1 : 0;
        const Content seen = content_by_file(file);
        std::size_t lost = 0;
        for (const auto& [key, value] : content) {
          const auto found = seen.find(key);
          lost += found == seen.end() || found->second != value ? 1 : 0;
        }
        CHECK(lost <= 2);
      }
    }
    CHECK(faults > 40);  // the others are in order, or in older commits
  }
}

}  // namespace
