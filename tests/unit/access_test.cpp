#include "status/access.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

using namespace m2b;

TEST_SUITE("access") {
  const std::string kToken = "a-token-of-some-length";
  const std::string kBearer = "Bearer " + kToken;

  StatusOptions options(const std::string& host, const std::string& token = "") {
    return {.enabled = true, .host = host, .port = 9797, .token = Secret(token)};
  }
  /// The status of the denial; 200 without one.
  int status(const std::optional<Denial>& denial) { return denial ? denial->status : 200; }

  struct Loopback {
    StatusOptions open = options("127.0.0.1");
    StatusOptions guarded = options("127.0.0.1", kToken);
    Caller caller{.host = "127.0.0.1:9797", .content_type = "application/json"};
  };

  TEST_CASE("addresses and names of the loopback") {
    for (const char* const host : {"127.0.0.1", "127.8.9.1", "[::1]", "localhost", "LOCALHOST"}) {
      CAPTURE(host);
      CHECK(is_loopback(options(host)));
    }
    for (const char* const host :
         {"0.0.0.0", "[::]", "10.0.0.1", "127.example.net", "localhost.example.net", "bridge"}) {
      CAPTURE(host);
      CHECK_FALSE(is_loopback(options(host)));
    }
  }

  TEST_CASE("pictures are kept where somebody may see them") {
    StatusOptions beyond = options("0.0.0.0");
    CHECK(shows_pictures(options("127.0.0.1")));
    CHECK_FALSE(shows_pictures(beyond));
    beyond.thumbnails = Thumbnails::on;
    CHECK(shows_pictures(beyond));
    beyond.enabled = false;
    CHECK_FALSE(shows_pictures(beyond));
    StatusOptions off = options("127.0.0.1");
    off.thumbnails = Thumbnails::off;
    CHECK_FALSE(shows_pictures(off));
  }

  TEST_CASE_FIXTURE(Loopback, "on the loopback only its own names are answered") {
    for (const char* const host : {"127.0.0.1:9797", "localhost", "LocalHost:1", "[::1]:9797"}) {
      CAPTURE(host);
      CHECK_FALSE(Access(open).denial_of_page({.host = host}));
    }
    for (const char* const host :
         {"rebound.example.net:9797", "127.example.net", "", "[::2]:9797"}) {
      CAPTURE(host);
      CHECK(status(Access(open).denial_of_page({.host = host})) == 421);
      CHECK(status(Access(open).denial_of_content({.host = host})) == 421);
    }
    CHECK_FALSE(Access(options("0.0.0.0")).denial_of_page({.host = "bridge.example.net"}));
  }

  TEST_CASE_FIXTURE(Loopback, "content is open on the loopback until there is a token") {
    CHECK_FALSE(Access(open).denial_of_content(caller));
    CHECK(status(Access(guarded).denial_of_content(caller)) == 401);
    caller.authorization = kBearer;
    CHECK_FALSE(Access(guarded).denial_of_content(caller));
  }

  TEST_CASE_FIXTURE(Loopback, "beyond the loopback content needs a token") {
    CHECK(status(Access(options("0.0.0.0")).denial_of_content(caller)) == 403);
    CHECK_FALSE(Access(options("0.0.0.0")).shows_content());
    const StatusOptions with_token = options("0.0.0.0", kToken);
    const Access access(with_token);
    CHECK(access.shows_content());
    CHECK(status(access.denial_of_content(caller)) == 401);
    caller.authorization = kBearer;
    CHECK_FALSE(access.denial_of_content(caller));
  }

  TEST_CASE_FIXTURE(Loopback, "without a token there are no actions") {
    caller.authorization = "Bearer ";
    CHECK(status(Access(open).denial_of_action(caller)) == 404);
    CHECK_FALSE(Access(open).has_token());
  }

  TEST_CASE_FIXTURE(Loopback, "actions need the whole token, as a bearer's") {
    const Access access(guarded);
    for (const std::string& wrong :
         {std::string(), kToken, "Basic " + kToken, kBearer + "x", kBearer.substr(0, 20),
          "bearer " + kToken, "Bearer  " + kToken}) {
      CAPTURE(wrong);
      caller.authorization = wrong;
      CHECK(status(access.denial_of_action(caller)) == 401);
    }
    caller.authorization = kBearer;
    CHECK_FALSE(access.denial_of_action(caller));
  }

  TEST_CASE_FIXTURE(Loopback, "another site's page can neither act nor look") {
    const Access access(guarded);
    caller.authorization = kBearer;
    for (const char* const origin : {"http://evil.example.net", "null", "http://127.0.0.1:80",
                                     "http://127.0.0.1:9797.example.net"}) {
      CAPTURE(origin);
      caller.origin = origin;
      CHECK(status(access.denial_of_action(caller)) == 403);
      CHECK(status(access.denial_of_content(caller)) == 403);
    }
    caller.origin = "http://127.0.0.1:9797";
    CHECK_FALSE(access.denial_of_action(caller));
    for (const char* const site : {"cross-site", "same-site"}) {
      caller.fetch_site = site;
      CHECK(status(access.denial_of_action(caller)) == 403);
    }
    caller.fetch_site = "same-origin";
    CHECK_FALSE(access.denial_of_action(caller));
  }

  TEST_CASE_FIXTURE(Loopback, "a form cannot act: it cannot send JSON") {
    const Access access(guarded);
    caller.authorization = kBearer;
    for (const char* const type : {"", "text/plain", "application/x-www-form-urlencoded"}) {
      caller.content_type = type;
      CHECK(status(access.denial_of_action(caller)) == 415);
    }
    caller.content_type = "Application/JSON; charset=utf-8";
    CHECK_FALSE(access.denial_of_action(caller));
  }

  TEST_CASE("comparing in constant time compares") {
    CHECK(is_equal_in_constant_time("abc", "abc"));
    CHECK(is_equal_in_constant_time("", ""));
    for (const char* const other : {"", "ab", "abd", "xbc", "abcd"}) {
      CHECK_FALSE(is_equal_in_constant_time(other, "abc"));
      CHECK_FALSE(is_equal_in_constant_time("abc", other));
    }
  }
}

}  // namespace
