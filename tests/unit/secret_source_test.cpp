#include "m2b/util/secret_source.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <string_view>

#include "support/temp_dir.hpp"

namespace {

using m2b::Secret;
using m2b::SecretSource;

TEST_SUITE("secret_source") {
  struct Fixture {
    m2b::test::TempDir dir;
    std::string file = (dir.path() / "secret").string();
    SecretSource source{"X_TOKEN", Secret("first"), file,
                        [](std::string_view text) { return text.size() >= 5; }};

    void write(std::string_view text) const { std::ofstream(file, std::ios::trunc) << text; }
  };

  TEST_CASE("without a file it stays as it was given") {
    SecretSource source("X_TOKEN", Secret("first"), "", [](std::string_view) { return false; });
    CHECK(source.current().reveal() == "first");
  }

  TEST_CASE_FIXTURE(Fixture, "it is what the file has by now") {
    write("second\n");
    CHECK(source.current().reveal() == "second");
    write("third");
    CHECK(source.current().reveal() == "third");
  }

  TEST_CASE_FIXTURE(Fixture, "the last good one goes on while the file has none") {
    CHECK(source.current().reveal() == "first");  // no such file
    write("second");
    CHECK(source.current().reveal() == "second");
    write("shrt");
    CHECK(source.current().reveal() == "second");
    write("");
    CHECK(source.current().reveal() == "second");
  }
}

}  // namespace
