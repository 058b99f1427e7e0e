#include "upload/http_body.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

using m2b::BodyPieces;
using m2b::BodyReader;

TEST_SUITE("HTTP body") {
  /// All that is left, read so many bytes at a time.
  std::string read_all(BodyReader & reader, std::size_t step) {
    std::string text;
    std::string block(step, '\0');
    for (;;) {
      const std::size_t count = reader.read(block.data(), step);
      text.append(block, 0, count);
      if (count < step) return text;
    }
  }

  TEST_CASE("pieces are read as one text, however it is cut") {
    const BodyPieces pieces{"", "abc", "", "d", "efgh", ""};
    CHECK(m2b::size_of(pieces) == 8);
    for (std::size_t step = 1; step < 10; ++step) {
      BodyReader reader(pieces);
      CHECK(reader.size() == 8);
      CHECK(read_all(reader, step) == "abcdefgh");
      char more = 0;
      CHECK(reader.read(&more, 1) == 0);
    }
  }

  TEST_CASE("reading goes on from any byte") {
    const BodyPieces pieces{"abc", "", "d", "efgh"};
    BodyReader reader(pieces);
    for (std::size_t offset = 0; offset <= 8; ++offset) {
      CHECK(reader.seek(offset));
      CHECK(read_all(reader, 3) == std::string("abcdefgh").substr(offset));
    }
    CHECK_FALSE(reader.seek(9));
  }

  TEST_CASE("no pieces are an empty text") {
    const BodyPieces none;
    BodyReader reader(none);
    char byte = 0;
    CHECK(reader.size() == 0);
    CHECK(reader.read(&byte, 1) == 0);
    CHECK(reader.seek(0));
    CHECK_FALSE(reader.seek(1));
    BodyReader unset;
    CHECK(unset.read(&byte, 1) == 0);
  }
}

}  // namespace
