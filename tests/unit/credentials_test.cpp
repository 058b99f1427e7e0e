#include "m2b/upload/credentials.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>

#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using namespace std::chrono_literals;

TEST_SUITE("credentials") {
  struct Fixture {
    [[nodiscard]] std::string file(const std::string& name, const std::string& content) const {
      const auto path = folder.path() / name;
      std::ofstream(path) << content;
      return path;
    }
    [[nodiscard]] std::string fault() const {
      const auto read = read_credentials(given, files);
      const auto* const text = std::get_if<std::string>(&read);
      return text != nullptr ? *text : "";
    }

    test::TempDir folder;
    Credentials given{"KEY", Secret("secret"), {}};
    CredentialFiles files;
  };

  TEST_CASE_FIXTURE(Fixture, "each may come from a file of its own, or all from a shared one") {
    CHECK(std::get<Credentials>(read_credentials(given, files)) == given);
    files.secret_key = file("secret", "from a file\n");
    CHECK(std::get<Credentials>(read_credentials(given, files)) ==
          Credentials{"KEY", Secret("from a file"), {}});
    files.access_key = file("key", "OTHER\n");
    files.session_token = file("token", "t\n");
    CHECK(std::get<Credentials>(read_credentials(given, files)) ==
          Credentials{"OTHER", Secret("from a file"), Secret("t")});
    files = {.shared = file("shared", "[p]\naws_access_key_id=A\naws_secret_access_key=S\n"),
             .profile = "p"};
    CHECK(std::get<Credentials>(read_credentials({}, files)) == Credentials{"A", Secret("S"), {}});
  }

  TEST_CASE_FIXTURE(Fixture, "files that cannot serve are named, their secrets are not") {
    files.secret_key = folder.path() / "none";
    CHECK(fault().find("none\" cannot be read: No such file or directory") != std::string::npos);
    files.secret_key = file("secret", "can\x01ary");
    CHECK(fault() == "the secret key must be text without control characters");
    files.secret_key.clear();
    files.access_key = file("key", "canary,2");
    CHECK(fault() == "the access key must be visible ASCII characters without comma");
    files.access_key.clear();
    files.session_token = file("token", "two\nlines");
    CHECK(fault() == "the session token must be visible ASCII characters");
    files = {.shared = file("shared", "[p]\n"), .profile = "q"};
    CHECK(fault().find("shared\" has no profile [q]") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "without files they never change") {
    CredentialsSource source(given, files);
    const auto before = source.current();
    CHECK(*before == given);
    CHECK_FALSE(source.refused(*before));
    CHECK(source.current() == before);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal makes it look again, and tells whether that helps") {
    files.secret_key = file("secret", "secret");
    CredentialsSource source(given, files, 1h, 0s);
    const auto before = source.current();
    static_cast<void>(file("secret", "new"));
    CHECK(source.current() == before);  // trusted for a while
    CHECK(source.refused(*before));
    const auto after = source.current();
    CHECK(after->secret_key.reveal() == "new");
    CHECK_FALSE(source.refused(*after));
    // Another connection still used the old ones.
    CHECK(source.refused(*before));
  }

  TEST_CASE_FIXTURE(Fixture, "keys that are replaced without a refusal are found in time") {
    files.secret_key = file("secret", "secret");
    CredentialsSource source(given, files, 0s, 1h);
    static_cast<void>(file("secret", "new"));
    CHECK(source.current()->secret_key.reveal() == "new");
  }

  TEST_CASE_FIXTURE(Fixture, "a file that went missing leaves the credentials in use") {
    files.secret_key = file("secret", "secret");
    CredentialsSource source(given, files, 1h, 0s);
    std::filesystem::remove(files.secret_key);
    CHECK_FALSE(source.refused(*source.current()));
    CHECK(*source.current() == given);
  }
}

}  // namespace
