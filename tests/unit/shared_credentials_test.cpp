#include "upload/shared_credentials.hpp"

#include <doctest/doctest.h>

#include <string>
#include <variant>

namespace {

using m2b::Credentials;
using m2b::parse_shared_credentials;

TEST_SUITE("shared_credentials") {
  constexpr const char* kFile =
      "# of the plant\r\n"
      "[default]\r\n"
      "aws_access_key_id = ONE\r\n"
      "aws_secret_access_key=a=b/c\r\n"
      "\r\n"
      "[ factory ]\n"
      "  AWS_ACCESS_KEY_ID\t=\tTWO\n"
      "aws_secret_access_key = two\n"
      "aws_session_token = token==\n"
      "; region is not ours to read\n"
      "region = eu-central-1\n"
      "[half]\n"
      "aws_access_key_id = THREE";

  std::string fault_of(std::string_view text, std::string_view profile) {
    const auto parsed = parse_shared_credentials(text, profile);
    const auto* const fault = std::get_if<std::string>(&parsed);
    return fault != nullptr ? *fault : "";
  }

  TEST_CASE("the keys of a profile") {
    const auto first = std::get<Credentials>(parse_shared_credentials(kFile, "default"));
    CHECK(first.access_key == "ONE");
    CHECK(first.secret_key.reveal() == "a=b/c");
    CHECK(first.session_token.empty());
    const auto second = std::get<Credentials>(parse_shared_credentials(kFile, "factory"));
    CHECK(second.access_key == "TWO");
    CHECK(second.secret_key.reveal() == "two");
    CHECK(second.session_token.reveal() == "token==");
  }

  TEST_CASE("what is missing is named") {
    CHECK(fault_of(kFile, "other") == "has no profile [other]");
    CHECK(fault_of("", "default") == "has no profile [default]");
    CHECK(fault_of(kFile, "half") == "has no aws_secret_access_key in profile [half]");
    CHECK(fault_of("[a]\naws_secret_access_key=x\n", "a") ==
          "has no aws_access_key_id in profile [a]");
    CHECK(fault_of("aws_access_key_id=outside\n[a]\n", "a") ==
          "has no aws_access_key_id in profile [a]");
  }
}

}  // namespace
