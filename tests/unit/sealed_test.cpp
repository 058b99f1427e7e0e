#include "spool/sealed.hpp"

#include <doctest/doctest.h>

#include <string>

#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("sealed") {
  using namespace m2b;

  struct Fixture {
    test::TempDir dir;
    lmdb::EnvHandle env = lmdb::open_env(dir.path(), std::uint64_t{1} << 24);
    lmdb::Txn txn = lmdb::Txn::write(env.get());
    MDB_dbi dbi = lmdb::open_database(txn, "values", MDB_CREATE);

    void damage(const std::string& key) const {
      std::string bytes(*lmdb::get(txn, dbi, key));
      bytes.back() = static_cast<char>(bytes.back() ^ 1);
      lmdb::put(txn, dbi, key, bytes);
    }
  };

  TEST_CASE_FIXTURE(Fixture, "a value is read back, an empty one too") {
    sealed::put(txn, dbi, "key", "text");
    sealed::put(txn, dbi, "empty", "");
    CHECK(sealed::get(txn, dbi, "key") == "text");
    CHECK(sealed::get(txn, dbi, "empty") == "");
    CHECK_FALSE(sealed::get(txn, dbi, "other"));
  }

  TEST_CASE_FIXTURE(Fixture, "either of the two is enough, and a damaged one is never believed") {
    sealed::put(txn, dbi, "key", "text");
    damage("key");
    CHECK(sealed::get(txn, dbi, "key") == "text");
    damage("key~");
    CHECK_FALSE(sealed::get(txn, dbi, "key"));
    sealed::put(txn, dbi, "key", "again");
    damage("key~");
    CHECK(sealed::get(txn, dbi, "key") == "again");
  }

  TEST_CASE("what is too short to be sealed is not") {
    CHECK_FALSE(sealed::open(""));
    CHECK_FALSE(sealed::open("1234567"));
  }
}

}  // namespace
