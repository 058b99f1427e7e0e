#include "m2b/util/secret.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace {

TEST_SUITE("secret") {
  using m2b::Secret;

  constexpr std::string_view kShort = "canary-short";  // inside of the string itself
  const std::string kLong = "canary-" + std::string(100, 'x');

  /// Room for a Secret whose bytes can be looked at after its end.
  struct Place {
    alignas(Secret) std::byte bytes[sizeof(Secret)] = {};

    bool holds(std::string_view text) const {
      const auto* const begin = reinterpret_cast<const char*>(bytes);
      return std::search(begin, begin + sizeof bytes, text.begin(), text.end()) !=
             begin + sizeof bytes;
    }
  };

  TEST_CASE("the bytes are gone with it") {
    Place place;
    auto* const secret = new (place.bytes) Secret{std::string(kShort)};
    REQUIRE(place.holds(kShort));
    secret->~Secret();
    CHECK_FALSE(place.holds(kShort));
  }

  TEST_CASE("another value leaves nothing of the first") {
    Place place;
    auto* const secret = new (place.bytes) Secret{std::string(kShort)};
    *secret = Secret("other");
    CHECK(secret->reveal() == "other");
    CHECK_FALSE(place.holds(kShort.substr(6)));
    const Secret third("3");
    *secret = third;
    CHECK(secret->reveal() == "3");
    CHECK_FALSE(place.holds("other"));
    secret->~Secret();
  }

  TEST_CASE("moving leaves nothing behind") {
    Place place;
    auto* const secret = new (place.bytes) Secret{std::string(kShort)};
    const Secret moved(std::move(*secret));
    CHECK(moved.reveal() == kShort);
    CHECK_FALSE(place.holds(kShort));
    *secret = Secret(std::string(kShort));
    Secret target;
    target = std::move(*secret);
    CHECK(target.reveal() == kShort);
    CHECK_FALSE(place.holds(kShort));
    secret->~Secret();
  }

  TEST_CASE("copies and assignments to itself keep the value") {
    Secret secret(kLong);
    const Secret copy = secret;
    Secret& same = secret;
    secret = same;
    CHECK(secret.reveal() == kLong);
    secret = std::move(same);
    CHECK(secret.reveal() == kLong);
    CHECK(copy.reveal() == kLong);
    CHECK(Secret().empty());
  }

  TEST_CASE("a text is wiped over all of its room") {
    std::string text = kLong;
    const char* const bytes = text.data();
    const std::size_t room = text.capacity();
    text.resize(3);
    Secret::wipe(text);
    CHECK(text.empty());
    REQUIRE(text.data() == bytes);
    CHECK(std::all_of(bytes, bytes + room, [](char byte) { return byte == '\0'; }));
  }
}

}  // namespace
