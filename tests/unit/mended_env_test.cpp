#include "spool/mended_env.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>

#include "m2b/spool/spool.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("mended_env") {
  using namespace m2b;

  struct Databases {
    Databases(const lmdb::Txn& txn, const std::filesystem::path&)
        : words(lmdb::open_database(txn, "words", MDB_CREATE)) {}
    MDB_dbi words;
  };

  struct Fixture {
    test::TempDir dir;
    const std::filesystem::path folder = make_folder(dir.path() / "env");
    MendedEnv<Databases> env{
        {.folder = folder, .map_bytes = 16U << 20U, .databases = {{"words", 0}}}};

    static std::filesystem::path make_folder(const std::filesystem::path& path) {
      std::filesystem::create_directory(path);
      return path;
    }
    void write(std::string_view key, std::string_view value) {
      auto access = env.write();
      lmdb::put(access.txn(), access->words, key, value);
      std::move(access).commit();
    }
    std::optional<std::string> read(std::string_view key) {
      const auto access = env.read();
      const auto value = lmdb::get(access.txn(), access->words, key);
      return value ? std::optional(std::string(*value)) : std::nullopt;
    }
  };

  TEST_CASE_FIXTURE(Fixture, "what is not committed does not happen") {
    write("a", "1");
    {
      auto access = env.write();
      lmdb::put(access.txn(), access->words, "a", "2");
    }
    CHECK(read("a") == "1");
  }

  TEST_CASE_FIXTURE(Fixture, "opened again it has what was committed, and its databases") {
    write("a", "1");
    env.reopen();
    CHECK(env.is_open());
    CHECK(read("a") == "1");
    write("b", "2");
    CHECK(read("b") == "2");
  }

  TEST_CASE_FIXTURE(Fixture, "it is not opened again under a reader") {
    write("a", "1");
    std::atomic<bool> reopened{false};
    std::thread other;
    {
      const auto access = env.read();
      other = std::thread([&] {
        env.reopen();
        reopened = true;
      });
      for (int i = 0; i < 1000; ++i) {
        std::this_thread::yield();
        CHECK(lmdb::get(access.txn(), access->words, "a") == "1");
      }
      CHECK_FALSE(reopened);
    }
    other.join();
    CHECK(read("a") == "1");
  }

  TEST_CASE_FIXTURE(Fixture, "a folder that was removed is written again with all that was in it") {
    write("a", "1");
    CHECK(env.is_in_place());
    std::filesystem::remove_all(folder);
    CHECK_FALSE(env.is_in_place());
    CHECK_THROWS_AS(env.reopen(), lmdb::Error);  // that would give up the only copy
    CHECK(env.is_open());
    env.put_back();
    CHECK(env.is_in_place());
    CHECK(read("a") == "1");
    env.reopen();
    CHECK(read("a") == "1");
  }

  TEST_CASE_FIXTURE(Fixture, "nothing is lost while its folder is removed again and again") {
    write("a", "1");
    {
      const std::jthread remover([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          std::error_code any;  // it may be filled again meanwhile
          std::filesystem::remove_all(folder, any);
        }
      });
      for (int i = 0; i < 200; ++i) {
        try {
          i % 2 == 0 ? env.put_back() : env.reopen();
        } catch (const std::runtime_error&) {
          // Not now.
        }
      }
    }
    env.put_back();
    CHECK(read("a") == "1");
  }

  TEST_CASE_FIXTURE(Fixture, "one that could not be opened again is an error until it can be") {
    write("a", "1");
    std::filesystem::remove(folder / "lock.mdb");
    std::filesystem::create_directory(folder / "lock.mdb");  // LMDB cannot open that
    CHECK_THROWS_AS(env.reopen(), SpoolError);
    CHECK_FALSE(env.is_open());
    CHECK(env.is_in_place());  // nothing is known to be wrong with the place
    CHECK_THROWS_AS(static_cast<void>(env.read()), lmdb::Error);
    CHECK_THROWS_AS(static_cast<void>(env.write()), lmdb::Error);
    std::filesystem::remove(folder / "lock.mdb");
    env.reopen();
    CHECK(read("a") == "1");
  }
}

}  // namespace
