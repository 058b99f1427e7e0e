#include "pipeline/overwrite_counter.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>

namespace m2b {
namespace {

TEST_SUITE("overwrite_counter") {
  TEST_CASE("other bytes under a key are an overwrite, the same bytes are nothing new") {
    OverwriteCounter counter;
    counter.stored(1, "a");
    counter.stored(2, "a");
    counter.stored(1, "a");  // a redelivery
    CHECK(counter.overwrites() == Overwrites{.total = 0, .recent_uploads = 2, .recent_keys = 2});
    counter.stored(1, "b");
    counter.stored(1, "b");
    CHECK(counter.overwrites() == Overwrites{.total = 1, .recent_uploads = 3, .recent_keys = 2});
    counter.stored(1, "a");  // the first one's bytes, but they were replaced meanwhile
    counter.stored(2, "");
    CHECK(counter.overwrites() == Overwrites{.total = 3, .recent_uploads = 5, .recent_keys = 2});
  }

  TEST_CASE("only the last uploads are remembered") {
    OverwriteCounter counter;
    counter.stored(0, "first");
    for (std::size_t key = 1; key < Overwrites::kWindow; ++key) {
      counter.stored(key, "x");
    }
    CHECK(counter.overwrites().recent_keys == Overwrites::kWindow);
    SUBCASE("one that is among them is found") {
      counter.stored(0, "second");
      CHECK(counter.overwrites() == Overwrites{.total = 1,
                                               .recent_uploads = Overwrites::kWindow,
                                               .recent_keys = Overwrites::kWindow});
    }
    SUBCASE("one that is not among them any more is not found") {
      counter.stored(Overwrites::kWindow, "x");
      counter.stored(0, "second");
      CHECK(counter.overwrites() == Overwrites{.total = 0,
                                               .recent_uploads = Overwrites::kWindow,
                                               .recent_keys = Overwrites::kWindow});
    }
  }

  TEST_CASE("many uploads under few keys take no more memory, and end with other keys") {
    OverwriteCounter counter;
    constexpr std::size_t kMany = 3 * Overwrites::kWindow;
    for (std::size_t i = 0; i < kMany; ++i) {
      counter.stored(i % 3, std::to_string(i));
    }
    CHECK(counter.overwrites() ==
          Overwrites{.total = kMany - 3, .recent_uploads = Overwrites::kWindow, .recent_keys = 3});
    for (std::size_t i = 0; i < Overwrites::kWindow; ++i) {
      counter.stored(1000 + i, "x");
    }
    CHECK(counter.overwrites() == Overwrites{.total = kMany - 3,
                                             .recent_uploads = Overwrites::kWindow,
                                             .recent_keys = Overwrites::kWindow});
  }
}

}  // namespace
}  // namespace m2b
