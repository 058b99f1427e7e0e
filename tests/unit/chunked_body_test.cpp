#include "upload/chunked_body.hpp"

#include <doctest/doctest.h>

#include <string_view>

namespace {

using m2b::decode_chunked;

TEST_SUITE("chunked body") {
  TEST_CASE("chunks are put together, extensions and trailers left out") {
    CHECK(decode_chunked("0\r\n\r\n") == "");
    CHECK(decode_chunked("4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n") == "Wikipedia");
    CHECK(decode_chunked("a;x=\"y\"\r\n0123456789\r\n0;z\r\nTrailer: 1\r\nOther: 2\r\n\r\n") ==
          "0123456789");
    CHECK(decode_chunked("01 \r\nx\r\n00\r\n\r\n") == "x");
  }

  TEST_CASE("what is cut, malformed or followed by something is none") {
    for (const std::string_view odd :
         {"", "0", "0\r\n", "4\r\nWiki", "4\r\nWiki\r\n", "4\r\nWikix\r\n0\r\n\r\n", "x\r\n\r\n",
          "-1\r\n\r\n", "\r\n\r\n", "4\r\nWiki\r\n0\r\nTrailer: 1\r\n", "0\r\n\r\nHTTP/1.1 200 OK",
          "ffffffffffffffffff\r\nx\r\n0\r\n\r\n", "ffffffffffffffff\r\nx\r\n0\r\n\r\n",
          "5\r\nab\r\n0\r\n\r\n", "0x1\r\nx\r\n0\r\n\r\n"}) {
      CAPTURE(odd);
      CHECK_FALSE(decode_chunked(odd));
    }
  }
}

}  // namespace
