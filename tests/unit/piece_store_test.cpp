#include "spool/piece_store.hpp"

#include <doctest/doctest.h>

#include <string>

#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("piece_store") {
  using namespace m2b;

  struct Fixture {
    test::TempDir dir;
    lmdb::EnvHandle env = lmdb::open_env(dir.path(), std::uint64_t{1} << 30);

    template <class Body>
    auto write(Body body) {
      lmdb::Txn txn = lmdb::Txn::write(env.get());
      const PieceStore store(txn, "pieces");
      if constexpr (std::is_void_v<decltype(body(store, txn))>) {
        body(store, txn);
        std::move(txn).commit();
      } else {
        auto result = body(store, txn);
        std::move(txn).commit();
        return result;
      }
    }
    void append(std::uint64_t id, const std::string& value) {
      write([&](const PieceStore& store, const lmdb::Txn& txn) {
        store.append(txn, SpoolId{id}, {value});
      });
    }
    std::optional<std::string> read(std::uint64_t id, std::size_t max = 1 << 30) {
      return write([&](const PieceStore& store, const lmdb::Txn& txn) {
        const auto value = store.read(txn, SpoolId{id}, max, 8);
        return value ? std::optional(std::string(value->buffer.get(), value->bytes)) : std::nullopt;
      });
    }
    std::optional<std::size_t> erase(std::uint64_t id) {
      return write([&](const PieceStore& store, const lmdb::Txn& txn) {
        return store.erase(txn, SpoolId{id});
      });
    }
    std::optional<std::uint64_t> lower_bound(std::uint64_t id) {
      return write([&](const PieceStore& store, const lmdb::Txn& txn) {
        const auto found = store.lower_bound(txn, SpoolId{id});
        return found ? std::optional(to_number(*found)) : std::nullopt;
      });
    }
  };

  std::string pattern(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) {
      text[i] = static_cast<char>(i * 7 + i / 251);
    }
    return text;
  }

  TEST_CASE_FIXTURE(Fixture, "values of every size around the piece come back") {
    constexpr std::size_t kPiece = PieceStore::kPieceBytes;
    std::uint64_t id = 0;
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, kPiece - 1, kPiece,
                                    kPiece + 1, 3 * kPiece, 3 * kPiece + 1, 70 * kPiece}) {
      append(++id, pattern(bytes));
      CHECK(read(id) == pattern(bytes));
    }
    CHECK_FALSE(read(id + 1));
  }

  TEST_CASE_FIXTURE(Fixture, "parts are written one after the other, empty ones too") {
    const std::string big = pattern(100'000);
    write([&](const PieceStore& store, const lmdb::Txn& txn) {
      store.append(txn, SpoolId{1}, {"head", "", big, "tail"});
    });
    CHECK(read(1) == "head" + big + "tail");
  }

  TEST_CASE_FIXTURE(Fixture, "erasing removes all pieces of one value only") {
    append(1, pattern(200'000));
    append(2, pattern(200'000));
    append(3, "short");
    CHECK(erase(2) == 200'000);
    CHECK_FALSE(erase(2));
    CHECK(read(1) == pattern(200'000));
    CHECK_FALSE(read(2));
    CHECK(read(3) == "short");
  }

  TEST_CASE_FIXTURE(Fixture, "lower_bound walks over ids with gaps") {
    append(2, "b");
    append(5, pattern(150'000));
    append(9, "c");
    CHECK(lower_bound(0) == 2);
    CHECK(lower_bound(2) == 2);
    CHECK(lower_bound(3) == 5);
    CHECK(lower_bound(6) == 9);
    CHECK_FALSE(lower_bound(10));
  }

  TEST_CASE_FIXTURE(Fixture, "reading stops at the limit") {
    append(1, pattern(200'000));
    CHECK(read(1, 70'000) == pattern(70'000));
    CHECK(read(1, 10) == pattern(10));
  }

  TEST_CASE_FIXTURE(Fixture, "the last id is known") {
    const auto last = [&] {
      return write([&](const PieceStore& store, const lmdb::Txn& txn) { return store.last(txn); });
    };
    CHECK_FALSE(last());
    append(1, pattern(200'000));
    append(7, "seven");
    CHECK(last() == SpoolId{7});
  }

  TEST_CASE_FIXTURE(Fixture, "a part is read from anywhere, across pieces") {
    const std::string value = pattern(200'000);
    append(1, value);
    append(2, "next");
    const auto range = [&](std::size_t offset, std::size_t max, std::uint64_t id = 1) {
      return write([&](const PieceStore& store, const lmdb::Txn& txn) {
        return store.read_range(txn, SpoolId{id}, offset, max);
      });
    };
    CHECK(range(0, 1'000'000) == value);
    CHECK(range(65'000, 70'000) == value.substr(65'000, 70'000));
    CHECK(range(PieceStore::kPieceBytes, 5) == value.substr(PieceStore::kPieceBytes, 5));
    CHECK(range(199'999, 100) == value.substr(199'999));
    CHECK(range(200'000, 100) == "");
    CHECK(range(std::size_t{1} << 40, 100) == "");
    CHECK_FALSE(range(0, 100, 3));
  }

  TEST_CASE_FIXTURE(Fixture, "replacing leaves nothing of the old value") {
    append(1, pattern(200'000));
    write([&](const PieceStore& store, const lmdb::Txn& txn) {
      store.replace(txn, SpoolId{1}, "new");
    });
    CHECK(read(1) == "new");
  }
}

}  // namespace
